package hil

// The conversion of the chips' raw numbers, from their datasheets, in floating point.

// sht31 (Sensirion, SHT3x-DIS, section 4.13).
func sht31(t, rh uint32) (celsius, percent float64) {
	return -45 + 175*float64(t)/65535, 100 * float64(rh) / 65535
}

// aht20 (Aosong, AHT20, section 6).
func aht20(t, rh uint32) (celsius, percent float64) {
	return float64(t)/(1<<20)*200 - 50, float64(rh) / (1 << 20) * 100
}

// bme280 (Bosch, BST-BME280-DS002, section 8.1), with the trimming values of
// the emulated chip.
func bme280(t, rh uint32) (celsius, percent float64) {
	const (
		t1, t2, t3             = 28485, 26735, 50
		h1, h2, h3, h4, h5, h6 = 75, 376, 0, 286, 50, 30
	)
	adc := float64(t)
	a := (adc/16384 - t1/1024.0) * t2
	b := adc/131072 - t1/8192.0
	fine := a + b*b*t3

	h := fine - 76800
	h = (float64(rh) - (h4*64.0 + h5/16384.0*h)) *
		(h2 / 65536.0 * (1 + h6/67108864.0*h*(1+h3/67108864.0*h)))
	return fine / 5120, h * (1 - h1*h/524288)
}
