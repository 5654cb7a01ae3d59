package pipeline

import "fmt"

// DataError says that labelled data which a person named, a folder or a table, cannot be measured or learnt from.
type DataError struct {
	Path string
	Err  error // what the system says; nil where Wrong says it
	// Wrong is what is wrong, Want what is looked for there.
	Wrong, Want Text
}

func (e *DataError) Error() string {
	wrong := e.Wrong.EN
	if e.Err != nil {
		wrong = e.Err.Error()
	}
	return fmt.Sprintf("%s: %s; %s", e.Path, wrong, e.Want.EN)
}

func (e *DataError) Unwrap() error { return e.Err }
