// Package batch gathers single calls that come in at about the same time, from jobs that know nothing of each other, and runs them
// together: what a GPU does for one picture it does for sixteen in little more time. As Triton's dynamic batcher does, a batch leaves when it
// is full or when its first item has waited for the longest delay, whichever comes first, and grows while everything that could run it is busy.
//
// It knows no models. It imports the standard library only.
package batch
