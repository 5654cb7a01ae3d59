package results

import (
	"encoding/binary"
	"fmt"
	"time"
)

// FrameHash is the hash of one frame: PDQ of the picture as it stands.
type FrameHash struct {
	AtMS uint32
	Hash [4]uint64
}

// JobFrames are the hashes of one job's frames.
type JobFrames struct {
	Job, Subject, Site string
	Seq                int64 // of the job's first verdict
	Frames             []FrameHash
	Unread             error // why there are no Frames: the row cannot be read
}

// FrameFilter narrows a list of frame hashes. Jobs are in the order of their ids, as the database sorts them.
type FrameFilter struct {
	After         string // only jobs after this one: the last of the page before
	From, Before  string // only jobs from this one on, and before this one; "": no bound
	Since, UpTo   int64  // only jobs at positions after the one and up to the other
	Subject, Site string // only of this subject or of this site; both empty: the whole tenant
}

// FramesGone says that a job's hashes were deleted.
type FramesGone struct {
	Job, Tenant string
	At          time.Time
}

// FrameFormat is how frame hashes are written; of another format there is nothing to compare with.
const FrameFormat = 1

// frameSize is 4 bytes for the time and 32 for the hash, little-endian.
const frameSize = 4 + 32

// PackFrames writes hashes for the store.
func PackFrames(f []FrameHash) []byte {
	b := make([]byte, 0, len(f)*frameSize)
	for i := range f {
		b = binary.LittleEndian.AppendUint32(b, f[i].AtMS)
		for _, w := range f[i].Hash {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
	}
	return b
}

// UnpackFrames reads what PackFrames wrote.
func UnpackFrames(b []byte) ([]FrameHash, error) {
	if len(b)%frameSize != 0 {
		return nil, fmt.Errorf("read frame hashes: %d bytes are no multiple of %d", len(b), frameSize)
	}
	f := make([]FrameHash, len(b)/frameSize)
	for i := range f {
		f[i].AtMS = binary.LittleEndian.Uint32(b)
		for k := range f[i].Hash {
			f[i].Hash[k] = binary.LittleEndian.Uint64(b[4+8*k:])
		}
		b = b[frameSize:]
	}
	return f, nil
}
