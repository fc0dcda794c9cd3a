package codec

import "sensorgateway/wire"

// Split cuts a block into blocks: records that stand next to each other and for which
// part returns the same number are in one. Those for which it returns a number below 0
// are left out.
func Split(b Block, part func(wire.Record) int) ([][]byte, error) {
	var unpack Unpacker
	records, err := unpack.Records(nil, b, 0)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	var pack Packer
	prev := b.Prev
	for from := 0; from < len(records); {
		p, to := part(records[from]), from+1
		for to < len(records) && part(records[to]) == p {
			to++
		}
		run := records[from:to]
		if p >= 0 {
			var sum Summary
			for _, r := range run {
				sum.Add(r)
			}
			all = append(all, pack.AppendBlock(nil, b.Origin, prev, sum, run))
		}
		prev, from = run[len(run)-1].Seq, to
	}
	return all, nil
}
