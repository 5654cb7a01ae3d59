package scene

import (
	"errors"
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"

	"onsite/pipeline/scene/head"
)

// HeadInput gives the features in the form that the generic heads were trained on; want is what was measured.
func (f Features) HeadInput(want Want) head.Input {
	var in head.Input
	if want.Office {
		in.Office, in.OfficeMean = f.Office, f.OfficeMean
	}
	if want.Scene {
		in.COCO, in.Embedding = f.COCO, f.Embedding
	}
	if want.Text {
		in.Text = f.Text.Values()
		in.Text[0] = float32(math.Log1p(float64(in.Text[0]))) // from no line to one means more than from 20 to 21
	}
	return in
}

// A bad camera, as head.Poor wants it.
const (
	poorSide    = 320
	poorGain    = 0.6
	poorQuality = 35
)

// Changed gives a copy of a picture (BGR) in one of head's variants; the caller closes it.
func Changed(img gocv.Mat, variant string) (gocv.Mat, error) {
	out := gocv.NewMat()
	var err error
	switch variant {
	case head.Plain:
		err = img.CopyTo(&out)
	case head.Gray:
		if err = gocv.CvtColor(img, &out, gocv.ColorBGRToGray); err == nil {
			err = gocv.CvtColor(out, &out, gocv.ColorGrayToBGR)
		}
	case head.Poor:
		err = poor(img, &out)
	default:
		err = fmt.Errorf("%q is no variant", variant)
	}
	if err != nil {
		return gocv.Mat{}, errors.Join(fmt.Errorf("change a picture: %w", err), out.Close())
	}
	return out, nil
}

func poor(img gocv.Mat, out *gocv.Mat) error {
	small := gocv.NewMat()
	defer small.Close()
	f := min(1, float64(poorSide)/float64(max(img.Cols(), img.Rows())))
	if err := gocv.Resize(img, &small, sizeOf(img, f), 0, 0, gocv.InterpolationArea); err != nil {
		return err
	}
	if err := small.ConvertToWithParams(&small, gocv.MatTypeCV8UC3, poorGain, 0); err != nil {
		return err
	}
	raw, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, small, []int{gocv.IMWriteJpegQuality, poorQuality})
	if err != nil {
		return err
	}
	defer raw.Close()
	return gocv.IMDecodeIntoMat(raw.GetBytes(), gocv.IMReadColor, out)
}

// sizeOf is the size of a picture times f, at least one pixel.
func sizeOf(img gocv.Mat, f float64) image.Point {
	return image.Pt(max(1, int(float64(img.Cols())*f)), max(1, int(float64(img.Rows())*f)))
}
