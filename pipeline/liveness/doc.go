// Package liveness asks whether the faces in front of the camera are live people or pictures of people: a print, a phone, a screen.
//
// This version takes the single-frame model's word on every prominent face of the sampled frames as weighted votes. It may import packages
// face and media (faces and pixels), authenticity (its benchmark runs both) and models (byte views). Faces of others stay in memory.
package liveness
