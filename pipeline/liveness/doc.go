// Package liveness asks whether the faces in front of the camera are live people or pictures of people: a print, a phone, a screen.
//
// Two witnesses are asked. The single-frame model votes on every prominent face of the sampled frames. The signs are what the bursts of frames
// and the surfaces show: a face that stays the same over seconds however it is held, an outline that moves against the room, moire, lips
// and lids that never move; a small table (weights.json, fitted by `onsite bench liveness --fit`) says how much each counts. A loop or a
// splice of a live face is no matter of this package but of authenticity.
//
// Follow gives the subject's face over the bursts, for the challenges and for speech as well. It may import packages face and media (faces and
// pixels), authenticity (which compares pictures beyond noise) and models (byte views). Faces of others, and the track, stay in memory.
package liveness
