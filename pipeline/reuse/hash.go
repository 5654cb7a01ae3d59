package reuse

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"onsite/models"
)

// minHashSide is the smallest picture side that can be hashed, in pixels (PDQ's own limit, MIN_HASHABLE_DIM).
const minHashSide = 5

// Bits256 is a 256-bit hash; word 0 is printed first.
type Bits256 [4]uint64

// String gives 64 hex digits.
func (b Bits256) String() string { return fmt.Sprintf("%016x%016x%016x%016x", b[0], b[1], b[2], b[3]) }

// Distance is the Hamming distance, 0..256.
func (b Bits256) Distance(o Bits256) int {
	return bits.OnesCount64(b[0]^o[0]) + bits.OnesCount64(b[1]^o[1]) + bits.OnesCount64(b[2]^o[2]) + bits.OnesCount64(b[3]^o[3])
}

// Hash is one perceptual hash of a picture.
type Hash struct {
	Kind    string  // name of the Hasher
	Bits    int     // 64 or 256; a 64-bit hash lies in word 0
	Words   Bits256 // unused words are zero
	Quality int     // 0..100: how much structure the picture has; PDQ only, else 100
}

// String is the hash's usual written form: "p:hex" as goimagehash writes perception hashes, plain hex for PDQ.
func (h Hash) String() string {
	switch {
	case h.Kind == "pdq":
		return h.Words.String()
	case h.Bits == 64:
		return fmt.Sprintf("p:%016x", h.Words[0])
	default:
		return "p:" + h.Words.String()
	}
}

// Hasher makes a perceptual hash of a byte view: H x W x 1 grey or H x W x 3 BGR, uint8, at least 5 x 5 pixels.
type Hasher interface {
	Name() string
	Hash(models.Image) (Hash, error)
}

// Hashers are the perceptual hashes that this package knows.
func Hashers() []Hasher { return []Hasher{PHash64{}, PHash256{}, PDQ{}} }

// luma is a brightness plane: row-major, h x w, 0..255, each value the mean of a block of k x k pixels of the fullW x fullH picture (the
// last blocks take the pixels that are left over).
type luma struct {
	p            []float32
	w, h         int
	k            int
	fullW, fullH int
	known        kernels // of the clip's pictures, which are of one size; nil: none are kept
}

// toLuma turns a byte view into brightness (0.299 R + 0.587 G + 0.114 B, as both PDQ and goimagehash weigh it) and averages k x k blocks,
// k the largest number that leaves both sides at least keep pixels. Averaging first makes large pictures cheap; the hashes blur to 64 to
// 256 pixels anyway. The plane lies in mem.
func toLuma(mem *memory, v models.Image, keep int) (luma, error) {
	if v.C != 1 && v.C != 3 || v.W < minHashSide || v.H < minHashSide || len(v.Pix) != v.W*v.H*v.C {
		return luma{}, fmt.Errorf("hash a picture of %d x %d x %d with %d bytes: want H x W x 1 grey or H x W x 3 BGR of at least %d x %d pixels", v.H, v.W, v.C, len(v.Pix), minHashSide, minHashSide)
	}
	k := max(1, min(v.W, v.H)/keep)
	out := luma{w: v.W / k, h: v.H / k, k: k, fullW: v.W, fullH: v.H}
	out.p = mem.floats(out.w * out.h)
	sum := make([]uint32, out.w)
	for y := range out.h {
		switch {
		case k == 2 && v.C == 3 && y < out.h-1:
			halveRows(out.p[y*out.w:(y+1)*out.w], v.Pix[2*y*v.W*3:], v.W)
			continue
		case k == 1 && v.C == 3:
			greyRow(out.p[y*out.w:(y+1)*out.w], v.Pix[y*v.W*3:])
			continue
		}
		clear(sum)
		y0, y1 := y*k, y*k+k
		if y == out.h-1 {
			y1 = v.H
		}
		for yy := y0; yy < y1; yy++ {
			addRow(sum, v.Pix[yy*v.W*v.C:(yy+1)*v.W*v.C], v.C, k)
		}
		row := out.p[y*out.w : (y+1)*out.w]
		scale := 1 / float32(k*(y1-y0)*lumaUnit)
		for x := range row {
			row[x] = float32(sum[x]) * scale
		}
		if last := v.W - (out.w-1)*k; last != k {
			row[out.w-1] *= float32(k) / float32(last)
		}
	}
	return out, nil
}

// Brightness weights in units of 1/1024, so that sums of up to 64 x 64 blocks stay in 32 bits.
const (
	lumaUnit = 1024
	lumaR    = 306
	lumaG    = 601
	lumaB    = 117
)

// addRow adds the brightness of one row of pixels to the sums of its blocks of k pixels; the last sum takes what is left over.
func addRow(sum []uint32, pix []byte, c, k int) {
	last := len(sum) - 1
	i := 0
	for x := range sum {
		n := k
		if x == last {
			n = len(pix)/c - x*k
		}
		var s uint32
		switch c {
		case 1:
			for range n {
				s += uint32(pix[i]) * lumaUnit
				i++
			}
		default:
			var b, g, r uint32
			for range n {
				p := pix[i : i+3 : i+3]
				b, g, r = b+uint32(p[0]), g+uint32(p[1]), r+uint32(p[2])
				i += 3
			}
			s = b*lumaB + g*lumaG + r*lumaR
		}
		sum[x] += s
	}
}

// greyRow is the brightness of a row of BGR pixels, four at a time.
func greyRow(dst []float32, pix []byte) {
	const scale = float32(1) / lumaUnit
	weigh := func(b, g, r byte) float32 {
		return float32(int32(b)*lumaB+int32(g)*lumaG+int32(r)*lumaR) * scale
	}
	whole := len(dst) / 4 * 4
	for x := 0; x < whole; x += 4 {
		p, d := pix[3*x:3*x+12:3*x+12], dst[x:x+4:x+4]
		d[0], d[1] = weigh(p[0], p[1], p[2]), weigh(p[3], p[4], p[5])
		d[2], d[3] = weigh(p[6], p[7], p[8]), weigh(p[9], p[10], p[11])
	}
	for x := whole; x < len(dst); x++ {
		dst[x] = weigh(pix[3*x], pix[3*x+1], pix[3*x+2])
	}
}

// halveRows averages two rows of w BGR pixels, which lie one behind the other, in blocks of 2 x 2; the last block takes the column that is
// left over. Most clips are halved, and this is where hashing spends its time, so 8 bytes are added at once: the even and the odd bytes of
// a word as four sums of 16 bits each.
func halveRows(dst []float32, pix []byte, w int) {
	const low = 0x00ff00ff00ff00ff
	const lane = 0xffff
	const scale = float32(1) / (4 * lumaUnit)
	add := func(a, b uint64) (even, odd uint64) { return a&low + b&low, a>>8&low + b>>8&low }
	weigh := func(b, g, r uint64) float32 {
		return float32(int32(b&lane*lumaB+g&lane*lumaG+r&lane*lumaR)) * scale
	}
	whole := (len(dst) - 1) / 4 * 4
	for x := 0; x < whole; x += 4 { // B G R B G R B G | R B G R B G R B | G R B G R B G R
		p, q := pix[6*x:6*x+24:6*x+24], pix[3*w+6*x:3*w+6*x+24:3*w+6*x+24]
		e0, o0 := add(binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(q))
		e1, o1 := add(binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint64(q[8:]))
		e2, o2 := add(binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(q[16:]))
		d := dst[x : x+4 : x+4]
		d[0] = weigh(e0+o0>>16, o0+e0>>32, e0>>16+o0>>32)
		d[1] = weigh(e0>>48+o1, o0>>48+e1>>16, e1+o1>>16)
		d[2] = weigh(e1>>32+o1>>48, o1>>32+e2, e1>>48+o2)
		d[3] = weigh(e2>>16+o2>>32, o2>>16+e2>>48, e2>>32+o2>>48)
	}
	for x := whole; x < len(dst); x++ {
		end := 2*x + 2
		if x == len(dst)-1 {
			end = w
		}
		var sum uint32
		for i := 2 * x; i < end; i++ {
			p, q := pix[3*i:3*i+3:3*i+3], pix[3*(w+i):3*(w+i)+3:3*(w+i)+3]
			sum += (uint32(p[0])+uint32(q[0]))*lumaB + (uint32(p[1])+uint32(q[1]))*lumaG + (uint32(p[2])+uint32(q[2]))*lumaR
		}
		dst[x] = float32(sum) / float32(2*(end-2*x)*lumaUnit)
	}
}
