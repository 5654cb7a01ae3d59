package scene

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"time"

	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// Numbers of enrolment. The two sizes: a photo of a sign is large and full of detail that a clip of it, seen from across the shop, does
// not have; keypoints of the small copy are those that survive. On simulated revisits the small copy adds a third of the inliers.
const (
	referenceSide      = 480
	referenceKeypoints = 400
	distantSide        = 160
	distantKeypoints   = 150
	smallestCrop       = 32 // pixels of the decoded photo, each side
	// stableKeypoints is how many keypoints must be found again when the reference is looked at from further away and aside: a match
	// needs Config.Inliers of them in far worse pictures.
	stableKeypoints = 12
)

// Decode turns a reference photo into pixels; the caller passes one that runs the decoder child. The clip is closed by its receiver.
type Decode func(ctx context.Context, m pipeline.Media) (*media.Clip, error)

// reference is one enrolled picture, ready to be looked for.
type reference struct {
	element Element
	name    string
	from    time.Time // zero: no bound
	to      time.Time
	w, h    float64 // pixels of the decoded crop, in which the keypoints lie
	plain   keypoints
	mirror  keypoints // of the crop flipped left to right: for mirrored clips
	stable  int
	patch   patch // what it looks like inside
	mpatch  patch // the same, flipped
	neg     bool  // it shows another place
	here    bool  // it belongs to this site: false for posters of other sites
	sites   []string
	rivals  []rival
	room    room // what the whole photo is compared by, of a room
}

func (r *reference) close() {
	r.plain.close()
	r.mirror.close()
}

// wantedAt tells whether a reference should be in view: it shows this place, and hangs here at the time.
func (r *reference) wantedAt(at time.Time) bool { return !r.neg && r.here && r.validAt(at) }

// validAt tells whether a poster hangs at the time; the zero time asks nothing.
func (r *reference) validAt(at time.Time) bool {
	if at.IsZero() {
		return true
	}
	return (r.from.IsZero() || !at.Before(r.from)) && (r.to.IsZero() || !at.After(r.to))
}

// Site is a site that was prepared once and is then used by any number of checks at the same time. It must be closed when the last is done.
type Site struct {
	ID       string
	Revision int
	names    []signName
	foreign  []signName // of other places
	refs     []reference
	rooms    rooms
	zone     *time.Location // of its days; nil: UTC
}

// Close frees the descriptors.
func (s *Site) Close() {
	for i := range s.refs {
		s.refs[i].close()
	}
	s.refs = nil
}

// local gives a time as a clock of the site shows it.
func (s *Site) local(t time.Time) time.Time {
	if s.zone == nil {
		return t.UTC()
	}
	return t.In(s.zone)
}

// has tells whether the site has something to look for.
func (s *Site) has(e Element) bool { return (e == Sign && len(s.names) > 0) || s.pictures(e) }

// pictures tells whether the site has references of its own for an element.
func (s *Site) pictures(e Element) bool {
	return slices.ContainsFunc(s.refs, func(r reference) bool { return r.element == e && !r.neg })
}

// Prepare decodes the references of a site and computes their keypoints. What is wrong with any of them comes back at once as a
// *SiteError (photo not decodable, crop outside the picture, too little texture); then nothing is kept. Other errors are those of the
// machine, not of the site.
func Prepare(ctx context.Context, s *pipeline.Site, decode func(context.Context, pipeline.Media) (*media.Clip, error)) (*Site, error) {
	if s == nil {
		return nil, errors.New("prepare a site: there is none")
	}
	out := &Site{ID: s.ID, Revision: s.Revision}
	out.names, out.foreign = namesOf(s.SignNames), namesOf(s.ForeignNames)
	var problems []Problem
	if s.Timezone != "" {
		var err error
		if out.zone, err = time.LoadLocation(s.Timezone); err != nil {
			problems = append(problems, noZone(s.Timezone))
		}
	}
	if s.Around != nil {
		var err error
		if out.rooms.around, err = unpack(s.Around); err != nil {
			return nil, fmt.Errorf("prepare site %s: rooms of the other sites: %w", s.ID, err)
		}
	}
	at := make([]int, 0, len(s.References)) // of each prepared reference in the file
	for i, r := range s.References {
		ref, problem, err := prepare(ctx, r, decode)
		if err != nil {
			out.Close()
			return nil, fmt.Errorf("prepare reference %q of site %s: %w", r.Name, s.ID, err)
		}
		if problem != nil {
			problem.Field = fmt.Sprintf("references[%d].%s", i, problem.Field)
			problems = append(problems, *problem)
			continue
		}
		ref.neg, ref.here, ref.sites = r.Negative, len(r.Sites) == 0 || slices.Contains(r.Sites, s.ID), r.Sites
		out.refs, at = append(out.refs, *ref), append(at, i)
		out.rooms.add(ref.room, ref.neg)
	}
	alike, err := out.compare(at)
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("compare the references of site %s: %w", s.ID, err)
	}
	problems = append(problems, alike...)
	if len(problems) > 0 {
		out.Close()
		return nil, &SiteError{Site: s.ID, Problems: problems}
	}
	return out, nil
}

// prepare makes one reference, or says what is wrong with it.
func prepare(ctx context.Context, r pipeline.Reference, decode Decode) (*reference, *Problem, error) {
	element, ok := elementOf[r.Kind]
	if !ok {
		return nil, &Problem{Trouble: UnknownKind, Field: "kind", Value: clip(string(r.Kind)), Text: unknownKind()}, nil
	}
	if r.Media == nil {
		return nil, &Problem{Trouble: MissingPhoto, Field: "photo", Value: clip(r.Name), Text: pipeline.Text{EN: "there is no photo", ZH: "没有照片"}}, nil
	}
	photo, err := decode(ctx, r.Media)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if errors.Is(err, media.ErrUnreadable) {
			return nil, &Problem{Trouble: MissingPhoto, Field: "photo", Value: clip(r.Media.Name()), Text: pipeline.Text{
				EN: "cannot be read; give the path of a photo relative to the site file", ZH: "无法读取；请填写相对于地点文件的照片路径"}}, nil
		}
		var refused *media.Refusal
		if !errors.As(err, &refused) {
			return nil, nil, err
		}
		return nil, &Problem{Trouble: UnreadPhoto, Field: "photo", Value: clip(r.Media.Name()), Text: refused.Text}, nil
	}
	defer photo.Close()
	if len(photo.Frames) != 1 || photo.Info.Kind != media.Photo {
		return nil, &Problem{Trouble: UnreadPhoto, Field: "photo", Value: clip(r.Media.Name()), Text: pipeline.Text{EN: "is not a photo; use a JPEG, PNG, WebP or HEIC picture", ZH: "不是照片；请使用 JPEG、PNG、WebP 或 HEIC 图片"}}, nil
	}
	frame := photo.Frames[0].Image
	crop, problem := cropOf(r.Crop, photo.Info, frame)
	if problem != nil {
		return nil, problem, nil
	}
	part := frame.Region(crop)
	defer part.Close()
	ref, err := enrol(part)
	if err != nil {
		return nil, nil, err
	}
	if element == Room { // a room needs no texture: it is compared as a whole, too
		if ref.room, err = roomOf(r.Name, part); err != nil {
			ref.close()
			return nil, nil, err
		}
	} else if ref.stable < stableKeypoints {
		problem, err := weakness(part, ref, element, r.Name)
		ref.close()
		return nil, problem, err
	}
	ref.element, ref.name, ref.from, ref.to = element, r.Name, r.ValidFrom, r.ValidTo
	return ref, nil, nil
}

// cropOf turns a crop in pixels of the photo as it is shown into one of the decoded picture, which may be smaller.
func cropOf(b *pipeline.Box, info media.Info, frame gocv.Mat) (image.Rectangle, *Problem) {
	all := image.Rect(0, 0, frame.Cols(), frame.Rows())
	crop := all
	if b != nil {
		if b.X < 0 || b.Y < 0 || b.W <= 0 || b.H <= 0 || b.X+b.W > info.Width || b.Y+b.H > info.Height {
			return crop, &Problem{Trouble: BadCrop, Field: "crop", Value: fmt.Sprintf("x %d, y %d, w %d, h %d", b.X, b.Y, b.W, b.H), Text: pipeline.Text{
				EN: fmt.Sprintf("lies outside the picture of %d x %d pixels; correct the crop", info.Width, info.Height),
				ZH: fmt.Sprintf("超出了 %d x %d 像素的图片；请更正裁剪范围", info.Width, info.Height)}}
		}
		sx, sy := float64(frame.Cols())/float64(info.Width), float64(frame.Rows())/float64(info.Height)
		at := func(v int, s float64) int { return int(math.Round(float64(v) * s)) }
		crop = image.Rect(at(b.X, sx), at(b.Y, sy), at(b.X+b.W, sx), at(b.Y+b.H, sy)).Intersect(all)
	}
	if crop.Dx() < smallestCrop || crop.Dy() < smallestCrop {
		return crop, &Problem{Trouble: BadCrop, Field: "crop", Value: fmt.Sprintf("%d x %d", crop.Dx(), crop.Dy()), Text: pipeline.Text{
			EN: fmt.Sprintf("is smaller than %d x %d pixels; use a larger crop or photo", smallestCrop, smallestCrop),
			ZH: fmt.Sprintf("小于 %d x %d 像素；请使用更大的裁剪范围或照片", smallestCrop, smallestCrop)}}
	}
	return crop, nil
}

// enrol computes the keypoints of a crop (BGR), plain and mirrored, at two sizes each, and counts the stable ones.
func enrol(crop gocv.Mat) (*reference, error) {
	r := &reference{w: float64(crop.Cols()), h: float64(crop.Rows())}
	var err error
	if r.plain, err = twoSizes(crop); err != nil {
		return nil, err
	}
	flipped := gocv.NewMat()
	defer flipped.Close()
	if err = gocv.Flip(crop, &flipped, 1); err != nil {
		r.plain.close()
		return nil, fmt.Errorf("mirror a reference: %w", err)
	}
	if r.mirror, err = twoSizes(flipped); err != nil {
		r.plain.close()
		return nil, err
	}
	if r.stable, err = stable(crop, r); err == nil {
		r.patch, err = patchOf(crop)
		r.mpatch = r.patch.flipped()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// twoSizes gives the keypoints of a picture at both sizes, in pixels of the picture.
func twoSizes(m gocv.Mat) (keypoints, error) {
	near, err := at(m, referenceSide, referenceKeypoints)
	if err != nil {
		return keypoints{}, err
	}
	if long := max(m.Cols(), m.Rows()); long < 3*distantSide/2 {
		return near, nil
	}
	far, err := at(m, distantSide, distantKeypoints)
	if err != nil {
		near.close()
		return keypoints{}, err
	}
	defer far.close()
	if len(far.at) == 0 {
		return near, nil
	}
	if len(near.at) == 0 {
		near.desc, far.desc = far.desc, near.desc
		near.at, near.size, near.turn = far.at, far.size, far.turn
		return near, nil
	}
	both := gocv.NewMat()
	if err := gocv.Vconcat(near.desc, far.desc, &both); err != nil {
		_ = both.Close()
		near.close()
		return keypoints{}, fmt.Errorf("join descriptors: %w", err)
	}
	near.close()
	return keypoints{at: append(near.at, far.at...), size: append(near.size, far.size...), turn: append(near.turn, far.turn...), desc: both}, nil
}

// at gives the keypoints of a picture (BGR) shrunk to a long side of at most side, in pixels of the picture.
func at(m gocv.Mat, side, limit int) (keypoints, error) {
	grey, scale, err := greyAt(m, side)
	if err != nil {
		return keypoints{}, err
	}
	defer grey.Close()
	return detect(grey, limit, scale)
}

// stable looks at the crop again as a clip might show it (half the size at most, turned by a few degrees, darker, a little blurred, on grey)
// and counts the keypoints that are found again on one plane.
func stable(crop gocv.Mat, r *reference) (int, error) {
	const canvas = 320
	k := float64(canvas) * 0.6 / float64(max(crop.Cols(), crop.Rows()))
	k = math.Min(k, 0.7)
	c, s := k*math.Cos(0.12), k*math.Sin(0.12) // about 7 degrees
	small := gocv.NewMat()
	defer small.Close()
	size := image.Pt(max(8, int(float64(crop.Cols())*k)), max(8, int(float64(crop.Rows())*k)))
	if err := gocv.Resize(crop, &small, size, 0, 0, gocv.InterpolationArea); err != nil {
		return 0, fmt.Errorf("shrink a reference: %w", err)
	}
	turn := gocv.NewMatWithSize(2, 3, gocv.MatTypeCV64F)
	defer turn.Close()
	for i, v := range []float64{c / k, -s / k, 0.2 * canvas, s / k, c / k, 0.15 * canvas} {
		turn.SetDoubleAt(i/3, i%3, v)
	}
	view := gocv.NewMat()
	defer view.Close()
	grey := color.RGBA{R: 110, G: 110, B: 110, A: 255}
	if err := gocv.WarpAffineWithParams(small, &view, turn, image.Pt(canvas, canvas), gocv.InterpolationLinear, gocv.BorderConstant, grey); err != nil {
		return 0, fmt.Errorf("turn a reference: %w", err)
	}
	if err := gocv.GaussianBlur(view, &view, image.Pt(0, 0), 0.6, 0, gocv.BorderDefault); err != nil {
		return 0, fmt.Errorf("blur a reference: %w", err)
	}
	if err := view.ConvertToWithParams(&view, gocv.MatTypeCV8UC3, 0.75, 8); err != nil {
		return 0, fmt.Errorf("darken a reference: %w", err)
	}
	seen, err := at(view, canvas, referenceKeypoints)
	if err != nil {
		return 0, err
	}
	defer seen.close()
	return matchPlane(&r.plain, &seen, r.w, r.h, reprojectionPixels).Inliers, nil
}
