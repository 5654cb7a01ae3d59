package service

import "onsite/pipeline"

// Fault is why the service cannot start or go on, in words for whoever runs it: what was being done, why it failed, what to do.
type Fault struct {
	Text pipeline.Text
	Err  error
}

func (f *Fault) Error() string { return f.Text.EN }

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

func fault(err error, en, zh string) *Fault {
	return &Fault{Text: pipeline.Text{EN: en, ZH: zh}, Err: err}
}
