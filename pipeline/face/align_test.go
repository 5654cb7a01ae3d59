package face

import (
	"image"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"
)

// landmarksOf gives 68 points whose five are the template's under a similarity: scale k, turn in radians, shift.
func landmarksOf(k, turn, tx, ty float64) *[68]Point {
	var l [68]Point
	for i, at := range [5][]int{{37, 38, 40, 41}, {43, 44, 46, 47}, {30}, {48, 60}, {54, 64}} {
		x, y := float64(template[i].X), float64(template[i].Y)
		p := Point{float32(k*(x*math.Cos(turn)-y*math.Sin(turn)) + tx), float32(k*(x*math.Sin(turn)+y*math.Cos(turn)) + ty)}
		for _, j := range at {
			l[j] = p
		}
	}
	return &l
}

func TestFitFindsTheSimilarity(t *testing.T) {
	for _, tt := range []struct{ k, turn, tx, ty float64 }{{1, 0, 0, 0}, {2.5, 0.3, 100, -40}, {0.4, -1.2, 300, 500}, {7, math.Pi, 10, 10}} {
		s, residual := fit(five(landmarksOf(tt.k, tt.turn, tt.tx, tt.ty)), template)
		require.InDelta(t, 1/tt.k, s.scale(), 1e-4)
		require.Less(t, residual, 1e-3)
		x, y := s.apply(tt.tx, tt.ty) // where the template's origin went
		require.InDelta(t, 0, x, 1e-2)
		require.InDelta(t, 0, y, 1e-2)
	}
	_, residual := fit([5]Point{}, template)
	require.True(t, math.IsInf(residual, 1))
}

// A picture whose blue and green say where a pixel is: alignment must bring each template position to the same place at every size and turn,
// with and without shrinking first.
func TestAlignBringsFacesToTheTemplate(t *testing.T) {
	const w, h = 1600, 1200
	pix := make([]byte, w*h*3)
	fill(pix, w, h, image.Rect(0, 0, w, h), func(x, y int) [3]byte { return [3]byte{byte(x * 255 / w), byte(y * 255 / h), 0} })
	picture, err := gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC3, pix)
	require.NoError(t, err)
	defer picture.Close()
	aligned := gocv.NewMat()
	defer aligned.Close()
	for _, tt := range []struct{ k, turn, tx, ty float64 }{{1, 0, 300, 300}, {2, 0.5, 500, 200}, {3, 0, 600, 400}, {7, 0.2, 500, 100}, {8.3, -0.3, 200, 400}} {
		require.NoError(t, arcFace.align(newPyramid(picture), landmarksOf(tt.k, tt.turn, tt.tx, tt.ty), &aligned))
		require.Equal(t, []int{alignedSize, alignedSize}, aligned.Size())
		for _, p := range [][2]float64{{56, 56}, {20, 30}, {90, 100}} {
			x := tt.k*(p[0]*math.Cos(tt.turn)-p[1]*math.Sin(tt.turn)) + tt.tx
			y := tt.k*(p[0]*math.Sin(tt.turn)+p[1]*math.Cos(tt.turn)) + tt.ty
			got := aligned.GetVecbAt(int(p[1]), int(p[0]))
			require.InDelta(t, x*255/w, float64(got[0]), 1.5, "x at %v with %+v", p, tt)
			require.InDelta(t, y*255/h, float64(got[1]), 1.5, "y at %v with %+v", p, tt)
		}
	}
}

func TestAlignRefusesWhatIsNoFace(t *testing.T) {
	picture := gocv.NewMatWithSize(100, 100, gocv.MatTypeCV8UC3)
	defer picture.Close()
	aligned := gocv.NewMat()
	defer aligned.Close()
	require.Error(t, arcFace.align(newPyramid(picture), &[68]Point{}, &aligned))
	require.Error(t, arcFace.align(newPyramid(picture), landmarksOf(5, 0, 5000, 5000), &aligned))
}

func TestPoseFromLandmarksHasTheSignsOfTheModel(t *testing.T) {
	front := poseFromLandmarks(landmarksOf(2, 0, 0, 0))
	require.InDelta(t, 0, front.Yaw, 3)
	require.InDelta(t, -5, front.Pitch, 3) // the pose model calls a level head -5
	require.InDelta(t, 0, front.Roll, 1)
	require.InDelta(t, 20, poseFromLandmarks(landmarksOf(2, 20*math.Pi/180, 0, 0)).Roll, 1)
	turned := landmarksOf(2, 0, 0, 0)
	turned[30].X -= 20 // the nose goes to the left of the picture
	require.Greater(t, poseFromLandmarks(turned).Yaw, front.Yaw+15)
}

func TestViewShrinksLikeAreaSampling(t *testing.T) {
	const w, h = 1280, 721
	pix := make([]byte, w*h*3)
	fill(pix, w, h, image.Rect(0, 0, w, h), func(x, y int) [3]byte { return [3]byte{byte(x * 255 / w), byte(y * 255 / h), byte(x % 2 * 255)} })
	picture, err := gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC3, pix)
	require.NoError(t, err)
	defer picture.Close()
	for _, r := range []image.Rectangle{image.Rect(0, 0, w, h), image.Rect(100, 50, 900, 700), image.Rect(0, 0, 330, 250), image.Rect(-200, -100, 1400, 800)} {
		im, err := (&Matcher{}).view(newPyramid(picture), r, 320, 240)
		require.NoError(t, err)
		require.Equal(t, []int{320, 240, 3}, []int{im.W, im.H, im.C})
		for _, p := range []image.Point{{160, 120}, {60, 50}, {250, 200}} {
			x := float64(r.Min.X) + (float64(p.X)+0.5)*float64(r.Dx())/320
			y := float64(r.Min.Y) + (float64(p.Y)+0.5)*float64(r.Dy())/240
			at := 3 * (p.Y*im.W + p.X)
			require.InDelta(t, x*255/w, float64(im.Pix[at]), 2, "%v in %v", p, r)
			require.InDelta(t, y*255/h, float64(im.Pix[at+1]), 2, "%v in %v", p, r)
		}
	}
}

// A part is halved to the same pixels whether the whole was halved before or not.
func TestPyramidPartsAreThoseOfTheWhole(t *testing.T) {
	const w, h = 333, 251
	pix := make([]byte, w*h*3)
	fill(pix, w, h, image.Rect(0, 0, w, h), func(x, y int) [3]byte { return [3]byte{byte(x * y), byte(x ^ y), byte(7 * x)} })
	picture, err := gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC3, pix)
	require.NoError(t, err)
	defer picture.Close()
	whole, fresh := newPyramid(picture), newPyramid(picture)
	defer whole.close()
	defer fresh.close()
	require.NoError(t, whole.halve(3))
	for _, r := range []image.Rectangle{image.Rect(17, 33, 150, 140), image.Rect(-30, -9, 90, 300), image.Rect(200, 100, 400, 400)} {
		for times := range 4 {
			a, ok, err := whole.part(r, times)
			require.NoError(t, err)
			require.True(t, ok)
			b, ok, err := fresh.part(r, times)
			require.NoError(t, err)
			require.True(t, ok)
			copied := a.pix.Clone() // regions are not continuous
			other := b.pix.Clone()
			require.Equal(t, copied.ToBytes(), other.ToBytes(), "%v halved %d times", r, times)
			require.Equal(t, a.origin, b.origin)
			for _, m := range []gocv.Mat{a.pix, b.pix, copied, other} {
				require.NoError(t, m.Close())
			}
		}
	}
	_, ok, err := whole.part(image.Rect(w, 0, w+50, 50), 1)
	require.NoError(t, err)
	require.False(t, ok)
}
