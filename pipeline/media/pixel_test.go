package media

import (
	"image"
	"image/color"
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"
)

// textured is a picture with strong detail: rings around its middle.
func textured(t testing.TB, w, h int) gocv.Mat {
	t.Helper()
	m := gocv.NewMatWithSize(h, w, gocv.MatTypeCV8UC3)
	data, err := m.DataPtrUint8()
	require.NoError(t, err)
	for y := range h {
		for x := range w {
			v := uint8(127 + 127*math.Sin(math.Hypot(float64(x-w/2), float64(y-h/2))))
			copy(data[3*(y*w+x):], []byte{v, 255 - v, v})
		}
	}
	return m
}

func TestGray(t *testing.T) {
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(0, 0, 255, 0), 4, 6, gocv.MatTypeCV8UC3)
	defer m.Close()
	g, err := Gray(m)
	require.NoError(t, err)
	defer g.Close()
	require.Equal(t, gocv.MatTypeCV8UC1, g.Type())
	require.Equal(t, []int{6, 4}, []int{g.Cols(), g.Rows()})
	require.Equal(t, uint8(76), g.GetUCharAt(1, 1)) // 0.299 x 255
	again, err := Gray(g)
	require.NoError(t, err)
	defer again.Close()
	require.Equal(t, g.ToBytes(), again.ToBytes())
	empty := gocv.NewMat()
	defer empty.Close()
	_, err = Gray(empty)
	require.Error(t, err)
}

func TestEncodeJPEG(t *testing.T) {
	m := textured(t, 64, 48)
	defer m.Close()
	good, err := EncodeJPEG(m, 95)
	require.NoError(t, err)
	small, err := EncodeJPEG(m, 20)
	require.NoError(t, err)
	require.Equal(t, []byte{0xff, 0xd8, 0xff}, good[:3])
	require.Less(t, len(small), len(good))
	_, err = EncodeJPEG(m, 0)
	require.Error(t, err)
	clip := decoded(t, file(t, "again.jpg", good), DefaultRequest())
	require.Equal(t, []int{64, 48}, []int{clip.Info.Width, clip.Info.Height})
}

func TestCropAndResized(t *testing.T) {
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(10, 20, 30, 0), 40, 60, gocv.MatTypeCV8UC3)
	defer m.Close()
	v, err := Crop(m, image.Rect(-10, -10, 10, 10), 20, 20)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 0, 0}, v.Pix[:3])
	require.Equal(t, []byte{10, 20, 30}, v.Pix[len(v.Pix)-3:])
	_, err = Crop(m, image.Rect(100, 100, 110, 110), 5, 5)
	require.Error(t, err)
	v, err = Resized(m, 7, 5)
	require.NoError(t, err)
	require.Equal(t, []int{7, 5, 3, 105}, []int{v.W, v.H, v.C, len(v.Pix)})
}

// detail is the mean difference between neighbours of the part of a picture inside r.
func detail(m gocv.Mat, r image.Rectangle) float64 {
	sum, n := 0.0, 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x+1 < r.Max.X; x++ {
			sum += math.Abs(float64(m.GetVecbAt(y, x)[0]) - float64(m.GetVecbAt(y, x+1)[0]))
			n++
		}
	}
	return sum / float64(n)
}

func TestBlur(t *testing.T) {
	face := image.Rect(20, 10, 84, 90)
	outside := image.Rect(100, 0, 160, 120)
	m := textured(t, 160, 120)
	defer m.Close()
	before, kept := detail(m, face), detail(m, outside)
	require.NoError(t, Blur(&m, face))
	require.Less(t, detail(m, face), before/20)
	require.InDelta(t, kept, detail(m, outside), 0)
	require.NoError(t, Blur(&m, image.Rect(-50, -50, 20, 20)))   // partly outside
	require.NoError(t, Blur(&m, image.Rect(500, 500, 600, 600))) // wholly outside
	require.NoError(t, Blur(&m, image.Rect(150, 110, 151, 111)))
	grey := gocv.NewMatWithSize(50, 50, gocv.MatTypeCV8UC1)
	defer grey.Close()
	require.NoError(t, gocv.Circle(&grey, image.Pt(25, 25), 10, color.RGBA{255, 255, 255, 0}, 1))
	require.NoError(t, Blur(&grey, image.Rect(0, 0, 50, 50)))
}

// Halving first gives the picture that area sampling gives at once.
func TestStretched(t *testing.T) {
	small, m := textured(t, 60, 40), gocv.NewMat()
	defer small.Close()
	defer m.Close()
	require.NoError(t, gocv.Resize(small, &m, image.Pt(644, 362), 0, 0, gocv.InterpolationCubic)) // what survives being made smaller
	for _, size := range []image.Point{{161, 90}, {150, 84}, {300, 181}, {644, 362}, {700, 400}, {90, 300}, {1, 1}} {
		got, err := Stretched(m, size.X, size.Y)
		require.NoError(t, err)
		defer got.Close()
		require.Equal(t, []int{size.X, size.Y}, []int{got.Cols(), got.Rows()})
		want, diff := gocv.NewMat(), gocv.NewMat()
		defer want.Close()
		defer diff.Close()
		mode := gocv.InterpolationArea
		if size.X > m.Cols() {
			mode = gocv.InterpolationLinear
		}
		require.NoError(t, gocv.Resize(m, &want, size, 0, 0, mode))
		require.NoError(t, gocv.AbsDiff(got, want, &diff))
		mean := diff.Mean()
		require.Less(t, mean.Val1, 1.0, "%v: mean difference in grey levels", size)
	}
	_, err := Stretched(m, 0, 5)
	require.Error(t, err)
}

func TestHalfIsTheMeanOfFourPixels(t *testing.T) {
	picture := func(w, h int) gocv.Mat {
		pix := make([]byte, w*h*3)
		for i := range pix {
			pix[i] = byte(i * i / 7)
		}
		m, err := gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC3, pix)
		require.NoError(t, err)
		return m.Clone()
	}
	whole := func(m gocv.Mat) Frame { return Frame{Image: m, half: halfOf(m)} }
	f := whole(picture(38, 26))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			_, ok := f.Half()
			assert.True(t, ok)
		})
	}
	wait.Wait()
	got, ok := f.Half()
	require.True(t, ok)
	in, out := f.Image.ToBytes(), got.ToBytes()
	require.Len(t, out, 19*13*3)
	for y := range 13 {
		for x := range 19 {
			for c := range 3 {
				at := (2*y*38+2*x)*3 + c
				mean := (int(in[at]) + int(in[at+3]) + int(in[at+38*3]) + int(in[at+39*3]) + 2) / 4
				require.EqualValues(t, mean, out[(y*19+x)*3+c], "pixel %d %d", x, y)
			}
		}
	}
	own, err := Stretched(f.Image, 19, 13)
	require.NoError(t, err)
	require.Equal(t, own.ToBytes(), out, "as whoever makes it themselves")
	require.NoError(t, own.Close())
	for name, f := range map[string]Frame{"odd": whole(picture(37, 26)), "nobody's": {Image: picture(38, 26)}} {
		_, ok := f.Half()
		require.False(t, ok, name)
		f.close()
	}
	for name, cut := range map[string]image.Rectangle{"a column": image.Rect(0, 0, 36, 26), "a row": image.Rect(0, 0, 38, 24)} {
		part := f
		part.Image = f.Image.Region(cut)
		_, ok := part.Half()
		require.False(t, ok, "cut by %s", name)
		require.NoError(t, part.Image.Close())
	}
	same := f
	require.NoError(t, f.Blur(image.Rect(4, 4, 20, 20)))
	for _, blurred := range []Frame{f, same} {
		_, ok = blurred.Half()
		require.False(t, ok, "it shows whom the picture shows no longer")
	}
	f.close()
	_, ok = f.Half()
	require.False(t, ok, "of a picture that is gone")
}
