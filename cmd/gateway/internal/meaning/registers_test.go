package meaning

import (
	"encoding/hex"
	"testing"
)

// What chips answer, as their datasheets explain it.
func TestRegisters(t *testing.T) {
	for _, tt := range []struct{ chip, w, r, want string }{
		{"si7021", "e7", "3a", "user register, nothing to report"},
		{"htu21d", "e7", "46", "user register, the supply is low, heater on"},
		{"si7021", "", "15", "chip id 0x15"},
		{"si7021", "", "58ee0e", "58ee CRC right, raw humidity 22764"},
		{"sht2x", "", "63fc87", "63fc CRC right, raw temperature 25596"},
		{"sht2x", "", "63fc88", "63fc CRC wrong, it would be 87, raw temperature 25596"},
		{"si7021", "fcc9", "15", ""},
		{"hdc1080", "fe", "5449", "maker's id 0x5449"},
		{"hdc1080", "ff", "1050", "device id 0x1050"},
		{"hdc1080", "", "5fd85fa8", "raw temperature 24536, humidity 24488"},
		{"mcp9808", "05", "c15d", "raw temperature 349; limits: critical, above"},
		{"mcp9808", "05", "3f5d", "raw temperature -163; limits: below"},
		{"mcp9808", "01", "0110", "configuration, shut down, an alert is pending"},
		{"mcp9808", "06", "0054", "maker's id 0x0054"},
		{"mcp9808", "07", "0400", "device and revision 0x0400"},
		{"mcp9808", "08", "03", ""},
		{"tmp117", "00", "f380", "raw temperature -3200"},
		{"tmp117", "01", "20a0", "configuration, has measured"},
		{"tmp117", "01", "d620", "configuration, alert: high, alert: low, EEPROM busy, shut down"},
		{"tmp117", "0f", "1117", "id 0x117, revision 1"},
		{"bme680", "d0", "61", "chip id 0x61"},
		{"bme680", "1d", "80005586307736504c4a", "status, has measured; raw pressure 350307, temperature 488293, humidity 19530"},
		{"bme680", "8a", "5b6603f0918d", "trimming T2 26203, T3 3, P1 36241"},
		{"bme680", "e1", "3ef92e002d14789c2e66", "trimming T1 26158, H1 745, H2 1007"},
		{"am2320", "", "0304017600da9055", "function 3, 4 bytes; raw humidity 374, temperature 218"},
		{"am2320", "", "03040176806590ff", "function 3, 4 bytes; raw humidity 374, temperature -101"},
		{"am2320", "", "00", ""},
		{"nobody", "00", "00", ""},
	} {
		w, err := hex.DecodeString(tt.w)
		if err != nil {
			t.Fatal(err)
		}
		r, err := hex.DecodeString(tt.r)
		if err != nil {
			t.Fatal(err)
		}
		if got := Of(tt.chip, w, r); got != tt.want {
			t.Errorf("%s, write %s, read %s:\n got %s\nwant %s", tt.chip, tt.w, tt.r, got, tt.want)
		}
	}
}
