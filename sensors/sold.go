package sensors

// sold returns other names under which chips are sold, by the chips' names in a
// configuration: in lower case and without hyphens.
func sold() map[string][]string {
	return map[string][]string{
		"sht3x":   {"sht30", "sht31", "sht35"},
		"sht4x":   {"sht40", "sht41", "sht45"},
		"sht2x":   {"sht20", "sht21", "sht25"},
		"hdc302x": {"hdc3020", "hdc3021", "hdc3022"},
		"hdc1080": {"hdc1000", "hdc1008"},
		"si7021":  {"si7013", "si7020"},
		"htu21d":  {"htu21", "gy21"},
		"bme680":  {"bme688"},
		"scd4x":   {"scd40", "scd41"},
		"am2320":  {"am2321"},
		"aht10":   {"aht15"},
		"aht20":   {"aht21"},
		"dht22":   {"am2302", "dht11"},
	}
}
