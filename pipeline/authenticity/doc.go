// Package authenticity asks whether a clip is one continuous recording: a still picture shown as a video, a part that stands still, a part
// that is shown again, cuts, and a file that names a program other than a camera. It looks at the grey motion track, at the packets' times
// and sizes, and at what the container says of itself.
//
// It may import package pipeline for its words and package media for the clip; it decodes nothing and calls no model.
package authenticity
