package results

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAssign(t *testing.T) {
	d := EpochDoc{Base: map[string]string{"face_embed": "base"}, Tenants: map[string]map[string]string{"own": {"face_embed": "theirs"}}}
	d.Canaries = []EpochTrial{{Model: "new", Task: "face_embed", Share: 0.25, Tenants: []string{"brave"}}}
	count := map[string]int{}
	const n = 4000
	for i := range n {
		job := fmt.Sprintf("01M81JYXTAH2JX9MCTTZ%06d", i)
		got, lane := d.Assign("a", job)
		again, _ := d.Assign("a", job)
		require.Equal(t, got, again, "the same job, the same answer")
		require.Equal(t, got["face_embed"] == "new", lane == LaneCanary)
		count[got["face_embed"]]++
		got, lane = d.Assign("own", job)
		require.Equal(t, "theirs", got["face_embed"], "who has a model of its own is in no trial of the installation's")
		require.Equal(t, LaneMain, lane)
		got, _ = d.Assign("brave", job)
		require.Equal(t, "new", got["face_embed"])
	}
	require.InDelta(t, n/4, count["new"], n/20, "a quarter of the jobs")
	got, lane := d.Assign("a", "")
	require.Equal(t, map[string]string{"face_embed": "base"}, got, "photos are looked at with what is active")
	require.Equal(t, LaneMain, lane)
	got, _ = EpochDoc{}.Assign("a", "x")
	require.Empty(t, got)

	d.Shadows = []EpochTrial{{Model: "s1", Task: "face_embed", Share: 1}, {Model: "s2", Task: "face_embed", Share: 1, Scope: "own"}}
	require.Len(t, d.ShadowsOf("a", "j"), 1)
	require.Equal(t, "s2", d.ShadowsOf("own", "j")[0].Model)
	require.Equal(t, []string{"base", "new", "s1", "s2", "theirs"}, d.Models())
}

func TestModelLife(t *testing.T) {
	one, two := RegisteredModel{ID: "1", Task: "face_embed"}, RegisteredModel{ID: "2", Task: "face_embed"}
	all := []RegisteredModel{one, two}
	var epochs []Epoch // newest first
	step := func(next Epoch) Epoch {
		next.Number, next.State = int64(len(epochs)+1), EpochActive
		if len(epochs) > 0 {
			epochs[0].State = EpochPast
		}
		epochs = append([]Epoch{next}, epochs...)
		return next
	}
	e := step(Epoch{}.Shadowed(one, 0.5, 1))
	require.Equal(t, []ModelChange{{"1", ModelShadow, ""}}, e.Changes)
	require.Empty(t, e.Doc.Base)
	e = step(e.OnTrial(one, 0.1, nil))
	require.Empty(t, e.Doc.Shadows, "one trial at a time")
	e = step(e.OnTrial(two, 0.2, nil))
	require.Contains(t, e.Changes, ModelChange{"1", ModelChecked, ModelCanary}, "another canary of the task ends")
	require.Len(t, e.Doc.Canaries, 1)
	e = step(e.Promoted(one, all))
	require.Equal(t, "1", e.Doc.Base["face_embed"])
	require.Contains(t, e.Changes, ModelChange{"2", ModelChecked, ModelCanary})
	require.Empty(t, e.Doc.Canaries)
	require.Equal(t, map[string]string{"1": ""}, e.Doc.Before, "the program's own")
	old := e.Doc.Clone()
	e = step(e.Promoted(two, all))
	require.Equal(t, old, epochs[1].Doc, "a document never changes")
	require.Equal(t, []string{"1"}, e.Doc.Warm)
	require.Contains(t, e.Changes, ModelChange{"1", ModelStandby, ModelActive})
	require.Equal(t, "1", e.Doc.Before["2"])
	e = step(e.RolledBack(Return{two, "1"}))
	require.Equal(t, "1", e.Doc.Base["face_embed"])
	require.Equal(t, []string{"2"}, e.Doc.Warm)
	require.ElementsMatch(t, []ModelChange{{"2", ModelStandby, ModelActive}, {"1", ModelActive, ModelStandby}}, e.Changes)
	require.Equal(t, map[string]string{"1": ""}, e.Doc.Before, "never to what was taken back")
	e = step(e.RolledBack(Return{Model: one}))
	require.Empty(t, e.Doc.Base)
	e = step(e.Without(one))
	require.Equal(t, []string{"2"}, e.Doc.Warm)
	require.Equal(t, []ModelChange{{"1", ModelRetired, ""}}, e.Changes)
	again := old
	again.Follow("2", "1")
	again.Follow("1", "2")
	require.Equal(t, map[string]string{"1": "2", "2": ""}, again.Before, "each has one place in the order")

	own := RegisteredModel{ID: "3", Task: "face_embed", Tenant: "t"}
	e = step(e.Promoted(own, nil))
	require.Equal(t, map[string]map[string]string{"t": {"face_embed": "3"}}, e.Doc.Tenants)
	e = step(e.RolledBack(Return{Model: own}))
	require.Empty(t, e.Doc.Tenants)
}

// Models that know each other's files are tried, promoted and taken back together.
func TestModelsTogether(t *testing.T) {
	scene, heads := RegisteredModel{ID: "scene", Task: "scene_embed"}, RegisteredModel{ID: "heads", Task: "scene_head"}
	all := []RegisteredModel{scene, heads}
	e := Epoch{}.Shadowed(scene, 1, 1, heads)
	require.ElementsMatch(t, []ModelChange{{"scene", ModelShadow, ""}, {"heads", ModelShadow, ""}}, e.Changes)
	require.Len(t, e.Doc.ShadowsOf("a", "j"), 1)
	require.Equal(t, map[string]string{"scene_embed": "scene", "scene_head": "heads"}, e.Doc.Shadows[0].All())
	e = e.OnTrial(heads, 0.5, nil, scene)
	require.Empty(t, e.Doc.Shadows)
	for i := range 100 {
		got, lane := e.Doc.Assign("a", fmt.Sprintf("01M81JYXTAH2JX9MCTTZ%06d", i))
		require.Equal(t, lane == LaneCanary, got["scene_embed"] == "scene")
		require.Equal(t, got["scene_embed"] == "scene", got["scene_head"] == "heads", "never one without the other")
	}
	e.Doc.Tenants = map[string]map[string]string{"own": {"scene_head": "theirs"}}
	_, lane := e.Doc.Assign("own", "01M81JYXTAH2JX9MCTTZ000001")
	require.Equal(t, LaneMain, lane, "its heads would not fit")
	require.Equal(t, []string{"heads", "scene", "theirs"}, e.Doc.Models())

	ended := e.RolledBack(Return{Model: RegisteredModel{ID: "scene", Task: "scene_embed", State: ModelCanary}})
	require.Empty(t, ended.Doc.Canaries)
	require.Equal(t, []ModelChange{{"scene", ModelChecked, ModelCanary}, {"heads", ModelChecked, ModelCanary}}, ended.Changes)

	e = e.Promoted(scene, all, heads)
	require.Equal(t, map[string]string{"scene_embed": "scene", "scene_head": "heads"}, e.Doc.Base)
	require.Equal(t, map[string][]string{"scene": {"heads"}, "heads": {"scene"}}, e.Doc.Together)
	later := RegisteredModel{ID: "later", Task: "scene_head"}
	e2 := e.Promoted(later, append(all, later))
	require.Equal(t, []string{"heads"}, e2.Doc.Warm)
	require.Equal(t, map[string][]string{"scene": {"heads"}, "heads": {"scene"}}, e2.Doc.Together)
	e = e.RolledBack(Return{Model: scene}, Return{Model: heads})
	require.Empty(t, e.Doc.Base)
	require.Empty(t, e.Doc.Together)
	require.ElementsMatch(t, []string{"scene", "heads"}, e.Doc.Warm)
	require.Len(t, e.Changes, 2)
}
