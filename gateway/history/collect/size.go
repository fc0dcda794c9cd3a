package collect

import (
	"strings"

	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// Size returns how many bytes the readings of all gateways take on the disk. The first
// time it lists the directories of those that have sent nothing since the start.
func (c *Collection) Size() (n int64) {
	c.listed.Do(c.list)
	for _, l := range c.all() {
		l.mu.Lock()
		if l.loaded {
			n += l.size
		} else {
			n += l.found
		}
		l.mu.Unlock()
	}
	return n + c.intake.bytes()
}

// list finds how large the logs are that are not loaded.
func (c *Collection) list() {
	gateways, err := c.o.FS.Dirs()
	if err != nil {
		c.o.Log.Warn("the size of what is stored is not known", "dir", c.o.Dir, "err", err)
		return
	}
	for _, gateway := range gateways {
		if gateway == intakeDir {
			continue
		}
		dir := c.o.directory(logDir(gateway))
		files, err := dir.List("")
		if err != nil {
			continue // it has sent no readings yet
		}
		aside, _ := recovery.Aside(dir) // if they cannot be listed, its log says so when it is read
		found := int64(0)
		for _, f := range aside {
			found += f.Size
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name, format.SegmentSuffix) {
				found += f.Size
			}
		}
		if found > 0 {
			l := c.log(gateway)
			l.mu.Lock()
			l.found = found
			l.mu.Unlock()
		}
	}
}

// bytes returns how large the files of the intake are.
func (in *intake) bytes() (n int64) {
	_, n, _ = in.files()
	return n
}
