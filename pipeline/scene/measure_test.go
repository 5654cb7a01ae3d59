package scene

import (
	"context"
	"encoding/csv"
	"fmt"
	"image"
	"image/color"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// planes names what is flat in pictures of eval/scene, as shares of the picture: x1, y1, x2, y2.
var planes = map[string][4]float64{
	"logo/011_websitecowork.jpg": {.11, .20, .44, .47}, "logo/015_DeepLogo.jpg": {.42, .15, .6, .42}, "logo/017_DeepLogo.jpg": {.36, .08, .60, .34},
	"logo/018_DeepLogo.jpg": {.30, .62, .71, .85}, "logo/021_DeepLogo.jpg": {.28, .13, .65, .6}, "logo/023_DeepLogo.jpg": {.11, .34, .54, .54},
	"logo/024_DeepLogo.jpg": {.64, .02, .9, .35}, "logo/026_golangsamples.jpg": {0, .05, 1, .85}, "logo/027_logohunter.jpg": {.41, .02, .85, .28},
	"logo/030_logohunter.jpg": {.05, .73, 1, .98}, "logo/031_logohunter.jpg": {.29, .22, .72, .4}, "poster/008_mmocr.jpg": {.6, .1, 1, .72},
	"storefront/001_PaddleOCR2Pyto.jpg": {.02, .15, .98, .4}, "storefront/002_chineseocrlit.jpg": {.05, .1, .98, .98}, "storefront/003_signboardreco.jpg": {.2, .53, .64, .68},
	"storefront/007_DeepLogo.jpg": {.17, .11, .84, .35}, "storefront/008_DeepLogo.jpg": {.2, .15, .75, .5}, "storefront/009_PaddleOCR2Pyto.jpg": {.11, .06, .74, .93},
	"storefront/011_SceneRecognit.jpg": {0, 0, 1, 1}, "storefront/013_SceneRecognit.jpg": {.1, .1, .8, .8}, "storefront/015_SceneRecognit.jpg": {0, 0, 1, .4},
	"storefront/042_sign.jpg": {.03, .18, .75, .7}, "storefront/043_sign.jpg": {.24, .36, .82, .62}, "storefront/044_sign.jpg": {.28, .05, .95, .95},
	"storefront/045_sign.jpg": {0, .25, .45, .55},
	"poster/001_QwenVL.jpg":   {0, 0, 1, 1}, "poster/004_chineseocrlit.jpg": {0, 0, 1, 1}, "poster/005_ocrpytorch.jpg": {0, 0, 1, 1},
	"poster/016_logohunter.jpg": {0, 0, 1, 1}, "poster/017_logohunter.jpg": {0, 0, 1, 1}, "poster/018_logohunter.jpg": {0, 0, 1, 1},
	"poster/019_flinderscafe.jpg": {0, 0, 1, 1}, "poster/020_flinderscafe.jpg": {0, 0, 1, 1}, "poster/023_coworkingspac.jpg": {0, 0, 1, 1},
}

// revisit simulates another visit, 1280 x 720: the picture takes share of the frame before another picture, seen from aside (corners moved
// by up to 12 % of its size), darker, a little blurred; written as a JPEG of quality 55 to be decoded like any upload. The pixels are
// those of the reference itself, which makes it easier than a real second visit.
func revisit(t testing.TB, m, background gocv.Mat, share float64, r *rand.Rand) string {
	t.Helper()
	const w, h = 1280, 720
	out := gocv.NewMat()
	defer out.Close()
	require.NoError(t, gocv.Resize(background, &out, image.Pt(w, h), 0, 0, gocv.InterpolationArea))
	k := min(w/float64(m.Cols()), h/float64(m.Rows())) * share
	small := gocv.NewMat()
	defer small.Close()
	require.NoError(t, gocv.Resize(m, &small, image.Pt(int(float64(m.Cols())*k), int(float64(m.Rows())*k)), 0, 0, gocv.InterpolationArea))
	sw, sh := float64(small.Cols()), float64(small.Rows())
	ox, oy := r.Float64()*(w-sw), r.Float64()*(h-sh)
	corner := func(x, y float64) gocv.Point2f {
		return gocv.Point2f{X: float32(ox + x + (r.Float64()*2-1)*.12*sw), Y: float32(oy + y + (r.Float64()*2-1)*.12*sh)}
	}
	src := gocv.NewPoint2fVectorFromPoints([]gocv.Point2f{{}, {X: float32(sw)}, {X: float32(sw), Y: float32(sh)}, {Y: float32(sh)}})
	defer src.Close()
	dst := gocv.NewPoint2fVectorFromPoints([]gocv.Point2f{corner(0, 0), corner(sw, 0), corner(sw, sh), corner(0, sh)})
	defer dst.Close()
	p := gocv.GetPerspectiveTransform2f(src, dst)
	defer p.Close()
	require.NoError(t, gocv.WarpPerspectiveWithParams(small, &out, p, image.Pt(w, h), gocv.InterpolationLinear, gocv.BorderTransparent, color.RGBA{}))
	require.NoError(t, out.ConvertToWithParams(&out, gocv.MatTypeCV8UC3, float32(.45+.45*r.Float64()), 5))
	require.NoError(t, gocv.GaussianBlur(out, &out, image.Pt(0, 0), .6+.5*r.Float64(), 0, gocv.BorderDefault))
	return writeJPEG(t, out, 55)
}

func writeJPEG(t testing.TB, m gocv.Mat, quality int) string {
	t.Helper()
	b, err := gocv.IMEncodeWithParams(".jpg", m, []int{gocv.IMWriteJpegQuality, quality})
	require.NoError(t, err)
	defer b.Close()
	path := filepath.Join(t.TempDir(), "picture.jpg")
	require.NoError(t, os.WriteFile(path, b.GetBytes(), 0o600))
	return path
}

// TestPlanesOnEval measures planar matching: real revisits (eval/place), simulated ones, and false matches against all other photos. It
// wants evaluation data and takes some minutes.
func TestPlanesOnEval(t *testing.T) {
	root := evalDir(t, "")
	decode := decoder(t)
	cfg := DefaultConfig()
	source := map[string]string{}
	for _, row := range table(t, filepath.Join(root, "SOURCES.csv")) {
		source[row[0]] = row[1]
	}
	files, err := filepath.Glob(filepath.Join(root, "scene", "*", "*.jpg"))
	require.NoError(t, err)
	sort.Strings(files)
	type plane struct {
		*reference
		file string
	}
	var all, real []plane
	enrolled := func(file string, m gocv.Mat, r image.Rectangle) {
		part := m.Region(r)
		defer part.Close()
		ref, err := enrol(part)
		require.NoError(t, err)
		ref.name = file
		if ref.stable < stableKeypoints {
			t.Logf("refused at enrolment: %s has %d stable keypoints", file, ref.stable)
			ref.close()
			return
		}
		t.Cleanup(ref.close)
		all = append(all, plane{ref, file})
	}
	for _, row := range table(t, filepath.Join(root, "place", "crops.csv")) {
		n := [4]int{}
		for i := range n {
			n[i], err = strconv.Atoi(row[3+i])
			require.NoError(t, err)
		}
		file := "place/" + row[2]
		enrolled(file, mustDecode(t, decode, filepath.Join(root, file)).Frames[0].Image, image.Rect(n[0], n[1], n[2], n[3]))
	}
	real = all
	all = nil
	for _, f := range files {
		if b, ok := planes[filepath.Base(filepath.Dir(f))+"/"+filepath.Base(f)]; ok {
			m := mustDecode(t, decode, f).Frames[0].Image
			w, h := float64(m.Cols()), float64(m.Rows())
			enrolled("scene/"+filepath.Base(filepath.Dir(f))+"/"+filepath.Base(f), m, image.Rect(int(b[0]*w), int(b[1]*h), int(b[2]*w), int(b[3]*h)))
		}
	}
	// look tries references on a photo as the check does: points, content, and a closer second look.
	look := func(view gocv.Mat, refs ...plane) []sight {
		s := newSearch(nil, &Site{}, time.Time{}, cfg, true)
		defer s.close()
		require.NoError(t, s.keyed(media.Frame{Image: view}))
		out := make([]sight, len(refs))
		for i, r := range refs {
			one := newSearch(nil, &Site{}, time.Time{}, cfg, true)
			one.keys = s.keys
			r.element, r.here = Logo, true
			require.NoError(t, one.try(r.reference, 0))
			require.NoError(t, one.closer(context.Background()))
			out[i] = one.best[Logo]
		}
		return out
	}
	photo := func(path string) gocv.Mat {
		c, err := decode(context.Background(), pipeline.File(path))
		require.NoError(t, err)
		defer c.Close()
		return c.Frames[0].Image.Clone()
	}

	// Real: each crop of the office wall in the other photos of it, alone and as the site would use them (any of the other crops).
	crops, alone, photos, together := 0, 0, 0, 0
	for i := 1; i <= 5; i++ {
		file := fmt.Sprintf("place/ezo_wall/%d.jpg", i)
		view, any := photo(filepath.Join(root, file)), false
		for _, r := range real {
			if r.file == file {
				continue
			}
			b := look(view, r)[0]
			crops++
			if b.found {
				alone++
			}
			any = any || b.found
			t.Logf("%s in %s: found %v, %d inliers, %d / %d / %d parts", r.file, file, b.found, b.Inliers, b.content.Agree, b.content.Differ, b.content.Covered)
		}
		_ = view.Close()
		if photos++; any {
			together++
		}
	}
	t.Logf("real revisits of one wall: %d of %d (crop, photo) pairs, %d of %d photos by any other crop", alone, crops, together, photos)

	r := rand.New(rand.NewSource(7))
	for _, share := range []float64{1, .7, .45} {
		found, mirrored := 0, 0
		var missed []string
		for i, ref := range all {
			picture, background := mustDecode(t, decode, filepath.Join(root, ref.file)), mustDecode(t, decode, files[(i*37+5)%20])
			view := mustDecode(t, decode, revisit(t, picture.Frames[0].Image, background.Frames[0].Image, share, r)).Frames[0].Image
			if b := look(view, ref)[0]; b.found {
				found++
			} else {
				missed = append(missed, fmt.Sprintf("%s %d", ref.file, b.Inliers))
			}
			require.NoError(t, gocv.Flip(view, &view, 1))
			if look(view, ref)[0].found {
				mirrored++
			}
		}
		t.Logf("simulated revisits, picture takes %.2f of the frame: %d of %d found, %d mirrored; missed %v", share, found, len(all), mirrored, missed)
		require.GreaterOrEqual(t, float64(found), .85*float64(len(all)))
		require.GreaterOrEqual(t, float64(mirrored), .85*float64(len(all)))
	}

	pairs, wrong, strongest := 0, 0, 0
	people, err := filepath.Glob(filepath.Join(root, "faces", "*", "*.jpg")) // nothing was chosen on these
	require.NoError(t, err)
	for i, f := range append(files, people...) {
		if i%20 == 19 { // of an hour's run, so that what was cut off counts
			t.Logf("%d pairs on %d photos, %d false, the strongest has %d inliers", pairs, i, wrong, strongest)
		}
		rel, err := filepath.Rel(root, f)
		require.NoError(t, err)
		var refs []plane
		for _, ref := range append(append([]plane{}, all...), real...) {
			own := ref.file == rel || (strings.HasPrefix(ref.file, "place/") && strings.Contains(source[rel], "coworking-space-web"))
			if !own {
				refs = append(refs, ref)
			}
		}
		view := photo(f)
		for i, b := range look(view, refs...) {
			pairs += 2 // plain and mirrored
			strongest = max(strongest, b.Inliers)
			if b.found || b.Inliers >= cfg.DoubtInliers {
				wrong++
				t.Logf("false: %s in %s with %d inliers, %d / %d parts", refs[i].file, rel, b.Inliers, b.content.Agree, b.content.Differ)
			}
		}
		_ = view.Close()
	}
	t.Logf("false matches: %d of %d (reference, photo) pairs found or at %d inliers; the strongest has %d", wrong, pairs, cfg.DoubtInliers, strongest)
	require.Zero(t, wrong)
}

// TestSignsOnEval measures reading on eval/signs, by halves: thresholds were chosen on the even rows.
func TestSignsOnEval(t *testing.T) {
	b, err := BenchText(context.Background(), evalDir(t, "signs"), decoder(t), textModels(t))
	require.NoError(t, err)
	var signs, found [2]int
	for i, item := range b.Items {
		if item.Wanted != "" {
			signs[i%2]++
			if item.Found {
				found[i%2]++
			} else {
				t.Logf("not found: %s %q in %q", item.File, item.Wanted, item.Read)
			}
		}
	}
	t.Logf("found %d of %d (even rows %d of %d, odd rows %d of %d), wrong names accepted %d of %d, character error rate %.3f, %.0f ms per picture",
		b.Found, b.Signs, found[0], signs[0], found[1], signs[1], b.WrongAccepted, b.Pairs, b.CER, b.MSPerImage)
	require.Zero(t, b.WrongAccepted)
	require.GreaterOrEqual(t, float64(b.Found), .7*float64(b.Signs))
}

func table(t testing.TB, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	c := csv.NewReader(f)
	c.FieldsPerRecord = -1
	rows, err := c.ReadAll()
	require.NoError(t, err)
	return rows[1:]
}
