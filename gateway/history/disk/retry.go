package disk

// Retry tries again what may fail for a moment.
func Retry[T any](f func() (T, error)) (T, error) {
	v, err := f()
	if err != nil {
		v, err = f()
	}
	return v, err
}
