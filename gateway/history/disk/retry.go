package disk

// Retry calls f once more if it has failed: some errors last a moment.
func Retry[T any](f func() (T, error)) (T, error) {
	v, err := f()
	if err != nil {
		v, err = f()
	}
	return v, err
}
