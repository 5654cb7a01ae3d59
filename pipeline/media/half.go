package media

import (
	"image"
	"sync"

	"gocv.io/x/gocv"
)

// half is a picture at half its size, once somebody asked for it.
type half struct {
	of   []byte // the picture's pixels: a frame that was cut, or got another picture, is no longer it
	once sync.Once
	pix  gocv.Mat
	ok   bool
}

func halfOf(picture gocv.Mat) *half {
	pix, err := picture.DataPtrUint8()
	if err != nil {
		return nil
	}
	return &half{of: pix}
}

func (h *half) is(picture gocv.Mat) bool {
	if picture.Closed() {
		return false
	}
	pix, err := picture.DataPtrUint8()
	return err == nil && len(pix) > 0 && len(pix) == len(h.of) && &pix[0] == &h.of[0]
}

// Half gives the still at half its size: each pixel is the mean of 2 x 2, as OpenCV's area sampling makes it, which is what most who look at a still
// begin with. It is made once and belongs to the clip. ok is false where a side is odd, or the picture is not the decoder's own or was blurred: then it
// is the caller's to make. It may be called at the same time.
func (f *Frame) Half() (pix gocv.Mat, ok bool) {
	if f.half == nil || !f.half.is(f.Image) {
		return gocv.Mat{}, false
	}
	w, h := f.Image.Cols(), f.Image.Rows()
	if w%2 != 0 || h%2 != 0 {
		return gocv.Mat{}, false
	}
	f.half.once.Do(func() {
		f.half.pix = gocv.NewMat()
		f.half.ok = gocv.Resize(f.Image, &f.half.pix, image.Pt(w/2, h/2), 0, 0, gocv.InterpolationArea) == nil
	})
	return f.half.pix, f.half.ok
}

// Blur is Blur of the picture, whose half is then no longer it. Nobody else may look at the frame meanwhile.
func (f *Frame) Blur(r image.Rectangle) error {
	if f.half != nil {
		f.half.of = nil
	}
	return Blur(&f.Image, r)
}

// close frees the picture and its half.
func (f *Frame) close() {
	_ = f.Image.Close()
	if f.half != nil {
		f.half.once.Do(func() {}) // nobody makes it from now on
		_ = f.half.pix.Close()
	}
}
