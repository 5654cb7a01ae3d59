// Package authenticity asks whether a clip is one continuous recording: a still picture shown as a video, a part that stands still, a part
// that is shown again. It looks at the grey motion track and at facts of the container.
//
// It may import package pipeline for its words and package media for the clip; it decodes nothing and calls no model.
package authenticity
