// Package compare says what another set of models would change: it takes cases that were run under both sets, from stored jobs or from labelled
// files, and makes one report of how often they disagree, which decisions and reasons flip, how scores move, what labelled cases cost in errors
// (detection error trade-off curves), who is concerned (groups), and how long it takes. The report says whether it stays within limits that were
// set before, and has a digest, so that a person can sign it.
//
// It decides nothing: whoever promotes a model reads it. It may import pipeline, its verify and face packages and models.
package compare
