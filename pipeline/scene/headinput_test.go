package scene

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline/scene/head"
)

func TestHeadInputHoldsWhatWasMeasured(t *testing.T) {
	f := Features{Office: []float32{1}, OfficeMean: []float32{2}, COCO: []float32{3}, COCOPool: []float32{8}, TextPool: []float32{9}, Embedding: []float32{4}, Text: TextShape{Boxes: 7, Area: .5}}
	in := f.HeadInput(Everything)
	require.Equal(t, f.Embedding, in.Embedding)
	require.Equal(t, f.COCOPool, in.COCOPool)
	require.Equal(t, f.TextPool, in.TextPool)
	require.InDelta(t, math.Log(8), in.Text[0], 1e-6)
	require.InDelta(t, .5, in.Text[1], 0)
	in = f.HeadInput(Want{Office: true})
	require.Equal(t, f.OfficeMean, in.OfficeMean)
	require.Nil(t, in.Text, "a pass that did not run is no picture without text")
	require.Nil(t, in.COCO)
	require.Nil(t, in.TextPool)
}

func TestChanged(t *testing.T) {
	img := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(200, 100, 0, 0), 4, 6, gocv.MatTypeCV8UC3)
	defer img.Close()
	grey, err := Changed(img, head.Gray)
	require.NoError(t, err)
	defer grey.Close()
	v := grey.GetVecbAt(1, 1)
	require.Equal(t, v[0], v[2])
	require.InDelta(t, 0.114*200+0.587*100, float64(v[0]), 1)
	same, err := Changed(img, head.Plain)
	require.NoError(t, err)
	defer same.Close()
	require.Equal(t, img.ToBytes(), same.ToBytes())
	_, err = Changed(img, "sepia")
	require.ErrorContains(t, err, "sepia")
}
