package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// Numbers of room matching, in deviations above strangers (roomMatcher).
const (
	// sameRoom is reached by 2.3 % of the strangers where a room is empty, by 0.5 % with somebody in front, as clips mostly have it (simulated
	// revisits against one photo each, eval/scene). Chosen for one in a hundred on half of the sources it is 2.64 +- .06 and 2.19 +- .06,
	// and lets 1.1 and 1.2 % of the strangers of the other half pass.
	sameRoom    = 2.5
	perhapsRoom = 2.0
	// twinRoom is the cosine (of vectors without the background's mean) with one of the site's own photos from which a room of another site is
	// the same room, or cannot be told from it. No two different rooms of the built-in background reach it (0.68); of two simulated visits to
	// one room, about a third do.
	twinRoom = 0.7
	// roomFrames bounds the frames that are compared: each costs a COCO pass.
	roomFrames = 2
	// roomSide is the side of the square to which reference photos are stretched and kept, as large as the model wants them.
	roomSide = 512
)

// room is one photo of a site's room, kept small, until a model has made vectors of it.
type room struct {
	name string
	img  models.Image // roomSide x roomSide x 3, BGR
}

// roomOf keeps a photo (BGR) of a room.
func roomOf(name string, m gocv.Mat) (room, error) {
	img, err := media.Resized(m, roomSide, roomSide)
	if err != nil {
		return room{}, fmt.Errorf("keep the photo of a room: %w", err)
	}
	img.Pix = slices.Clone(img.Pix)
	return room{name: name, img: img}, nil
}

// rooms is the photos of a site's rooms with what was made of them. The vectors are made at the first check and kept, one set per model.
type rooms struct {
	photos  []room
	against []room     // of other places: a picture that is nearer to one of these is not this room
	around  Background // the company's other sites, added to the built-in background where the model is the same
	mu      sync.Mutex
	made    map[string]*roomMatcher // by the sha256 of the model
}

// add keeps a photo of a room, or of another place; the empty room is none.
func (r *rooms) add(p room, other bool) {
	switch {
	case p.img.Pix == nil:
	case other:
		r.against = append(r.against, p)
	default:
		r.photos = append(r.photos, p)
	}
}

// builtinOnce is the built-in background, read once.
var builtinOnce = sync.OnceValues(BuiltinBackground)

// backgroundFor gives the background that comes with the models' scene embedder, else the built-in one.
func backgroundFor(m FeatureModels) (Background, error) {
	if own, ok := m.(interface{ Background() ([]byte, error) }); ok {
		if data, err := own.Background(); err != nil {
			return Background{}, err
		} else if data != nil {
			return ParseBackground(data)
		}
	}
	return builtinOnce()
}

// matcher gives the site's matcher for the models' scene embedder, whose sha256 the caller has from a frame's vector.
func (r *rooms) matcher(ctx context.Context, m FeatureModels, model string) (*roomMatcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.made[model]; k != nil {
		return k, nil
	}
	b, err := backgroundFor(m)
	if err != nil {
		return nil, err
	}
	if b.Model != model { // before any photo is looked at: it is asked at every check
		return nil, &OtherModelError{Want: b.Model, Got: model}
	}
	vectors, err := vectorsOf(ctx, m, slices.Concat(r.photos, r.against))
	if err != nil {
		return nil, err
	}
	k, err := newRoomMatcher(vectors[:len(r.photos)], vectors[len(r.photos):], b)
	if err == nil {
		k, err = k.with(r.around, vectors[:len(r.photos)], vectors[len(r.photos):], b)
	}
	if err != nil {
		return nil, err
	}
	if r.made == nil {
		r.made = map[string]*roomMatcher{}
	}
	r.made[model] = k
	return k, nil
}

// vectorsOf looks at photos of rooms.
func vectorsOf(ctx context.Context, m FeatureModels, photos []room) ([]models.Vector, error) {
	var out []models.Vector
	for _, p := range photos {
		img, err := gocv.NewMatFromBytes(p.img.H, p.img.W, gocv.MatTypeCV8UC3, p.img.Pix)
		if err != nil {
			return nil, fmt.Errorf("look at the photo of a room: %w", err)
		}
		f, err := NewExtractor(m).Features(ctx, img, Want{Scene: true})
		_ = img.Close()
		if err != nil {
			return nil, fmt.Errorf("look at the room photo %q: %w", p.name, err)
		}
		out = append(out, models.Vector{Model: f.Model, V: f.Embedding})
	}
	return out, nil
}

// RoomVectors gives what the site's rooms look like, for the backgrounds of the company's other sites; nil for a site without rooms.
func (s *Site) RoomVectors(ctx context.Context, m FeatureModels) (*pipeline.RoomVectors, error) {
	if len(s.rooms.photos) == 0 {
		return nil, nil
	}
	vectors, err := vectorsOf(ctx, m, s.rooms.photos)
	if err != nil {
		return nil, err
	}
	b := Background{Model: vectors[0].Model}
	for _, v := range vectors {
		b.Vectors = append(b.Vectors, v.V)
	}
	return b.pack()
}

// roomSight is what the comparison of frames with the room photos gave.
type roomSight struct {
	score  float64 // mean over the frames
	ref    string  // of the best frame
	frame  media.Frame
	frames int // compared
	agree  int // frames that are like the room on their own

	around leftOut // what of the company's other rooms was not used

	uncalibrated bool // the background belongs to another model: nothing was compared
}

// matchRooms compares frames with the site's rooms; look makes the vector of a frame. No single frame decides: the score is the mean over the
// frames.
func matchRooms(ctx context.Context, m FeatureModels, r *rooms, frames []media.Frame, look func(context.Context, media.Frame) (models.Vector, error)) (roomSight, error) {
	var out roomSight
	best := 0.0
	for _, f := range frames {
		if err := ctx.Err(); err != nil {
			return roomSight{}, err
		}
		v, err := look(ctx, f)
		if err != nil {
			return roomSight{}, fmt.Errorf("look at the room in frame %d: %w", f.Index, err)
		}
		k, err := r.matcher(ctx, m, v.Model)
		if err != nil {
			return roomSight{}, err
		}
		s, ref, err := k.score(v)
		if err != nil {
			return roomSight{}, err
		}
		out.around = k.leftOut
		if out.frames == 0 || s > best {
			best, out.ref, out.frame = s, r.photos[ref].name, f
		}
		out.frames++
		out.score += s
		if s >= sameRoom {
			out.agree++
		}
	}
	if out.frames > 0 {
		out.score /= float64(out.frames)
	}
	return out, nil
}

// lookAtRoom makes the vector of one picture.
func lookAtRoom(ctx context.Context, m FeatureModels, img gocv.Mat, mirrored bool) (models.Vector, error) {
	if mirrored {
		flipped := gocv.NewMat()
		defer flipped.Close()
		if err := gocv.Flip(img, &flipped, 1); err != nil {
			return models.Vector{}, fmt.Errorf("mirror a frame: %w", err)
		}
		img = flipped
	}
	f, err := NewExtractor(m).Features(ctx, img, Want{Scene: true})
	return models.Vector{Model: f.Model, V: f.Embedding}, err
}

// compareRooms compares the best frames with the photos of the site's rooms, unless one of the photos was found in the picture itself.
func (s *search) compareRooms(ctx context.Context, picks []media.Frame, want []Element) error {
	if !slices.Contains(want, Room) || len(s.site.rooms.photos) == 0 || s.found(Room) {
		return nil
	}
	m, ok := s.models.(FeatureModels)
	if !ok {
		return errors.New("compare rooms: no models were given")
	}
	look := func(ctx context.Context, f media.Frame) (models.Vector, error) {
		if s.mirrored {
			s.see(f)
			return lookAtRoom(ctx, m, f.Image, true)
		}
		d, err := s.measure(ctx, f, Want{Scene: true})
		return models.Vector{Model: d.Model, V: d.Embedding}, err
	}
	var err error
	s.room, err = matchRooms(ctx, m, &s.site.rooms, picks[:min(len(picks), roomFrames)], look)
	var other *OtherModelError
	if errors.As(err, &other) {
		s.room = roomSight{uncalibrated: true} // said in the result: somebody swapped the model
		return nil
	}
	return err
}

// roomSeen is the outcome of the room: the photo itself in view, or a picture that is like it. Not finding it says little.
func (s *search) roomSeen() Seen {
	out := s.planeSeen(Room)
	if s.room.uncalibrated && out.Outcome != pipeline.Pass {
		return Seen{Element: Room, Outcome: pipeline.NotChecked, Why: WhyBackground}
	}
	if out.Outcome == pipeline.Pass || out.Outcome == pipeline.NotChecked || s.room.frames == 0 {
		return out
	}
	out = Seen{Element: Room, Means: ByRoom, Score: s.room.score, Threshold: sameRoom, Compared: s.room.frames, Alike: s.room.agree,
		Outcome: pipeline.Uncertain, Why: WhyAngle}
	switch {
	case s.room.score >= sameRoom && 2*s.room.agree >= s.room.frames:
		out.Outcome, out.Why, out.Sure = pipeline.Pass, "", Medium
	case s.room.score >= perhapsRoom:
		out.Why, out.Sure = WhyNearly, Low
	default:
		return out
	}
	out.Reference = s.room.ref
	out.Keyframe, out.AtMS = when(s.room.frame)
	return out
}
