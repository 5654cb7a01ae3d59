// Package speech answers whether someone speaks in a clip and, later, whether the wanted words are said.
//
// Nothing lives here yet besides its place: the voice activity model is installed and tested in package models, the check itself comes
// with the liveness step. Until then verdicts say speech: not_checked. It may import package pipeline, pipeline/media and models.
package speech
