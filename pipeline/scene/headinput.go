package scene

import (
	"errors"
	"fmt"
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
		in.COCO, in.COCOPool, in.Embedding = f.COCO, f.COCOPool, f.Embedding
	}
	if want.Text {
		in.Text = f.Text.Values()
		in.TextPool = f.TextPool
		in.Text[0] = float32(math.Log1p(float64(in.Text[0]))) // from no line to one means more than from 20 to 21
	}
	return in
}

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
	default:
		err = fmt.Errorf("%q is no variant", variant)
	}
	if err != nil {
		return gocv.Mat{}, errors.Join(fmt.Errorf("change a picture: %w", err), out.Close())
	}
	return out, nil
}
