// Package verify runs the checks of one submission and puts their answers together: Verify(ctx, submission) -> verdict.
//
// It is the only package that knows all checks. It may import everything below pipeline and package models; it stores nothing, knows no
// queue and no HTTP, and has no state besides the decoder and the models that it was made with.
package verify
