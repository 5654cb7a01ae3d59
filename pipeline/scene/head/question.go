package head

import (
	"slices"
)

// Sample is one labelled picture with its features.
type Sample struct {
	File   string // below the data folder, with forward slashes
	Class  string // its folder
	Source string // what is held out together: one place, one package, one photographer
	SHA256 string // of the file, hex
	// Variant says how the picture was changed before its features were measured; Plain is not at all.
	Variant string
	Input   Input
}

// Question is what one head answers: pictures of the classes Yes against all others. Pictures of the classes Unclear do not train it,
// because their folder does not tell the answer; they are measured as a no, as everything that is not in Yes.
type Question struct {
	Name    string
	Yes     []string
	Unclear []string
	Uses    []string // groups of features
	Against [][]string
}

// Questions lists what is trained, sorted by name. Which features answer which question was measured on photos of 43 sources, one source
// left out at a time: a desk is told by its objects alone, because embeddings learn the data set and not the desk; a poster by what the
// office detector's last layer saw and where the text is; a storefront by everything.
//
// There is no question about logos: see the package's comment.
func Questions() []Question {
	objects := []string{GroupOffice, GroupCOCO}
	return []Question{
		{Name: Cafe, Yes: []string{"cafe"}, Uses: objects, Against: [][]string{{"desk"}}},
		{Name: Desk, Yes: []string{"desk"}, Uses: objects, Against: [][]string{{"cafe"}, {"cafe", "home"}}},
		{Name: Home, Yes: []string{"home"}, Uses: objects, Against: [][]string{{"desk"}, {"cafe"}}},
		{Name: Poster, Yes: []string{"poster"}, Uses: []string{GroupMean, GroupText}},
		{Name: Storefront, Yes: []string{"storefront"}, Unclear: []string{"shop_interior", "logo"}, Uses: Groups(), Against: [][]string{{"street", "other"}, {"shop_interior"}}},
		{Name: Street, Yes: []string{"street"}, Unclear: []string{"storefront", "logo"}, Uses: []string{GroupOffice, GroupCOCO, GroupEmbedding}, Against: [][]string{{"storefront"}}},
		{Name: Text, Yes: []string{"storefront", "poster", "logo", "text"}, Unclear: []string{"street", "shop_interior"}, Uses: []string{GroupMean, GroupText}},
	}
}

// Classes lists the folders that mean something to a question, sorted.
func Classes() []string {
	return []string{"cafe", "desk", "home", "logo", "other", "poster", "shop_interior", "storefront", "street", "text"}
}

func (q Question) yes(class string) bool { return slices.Contains(q.Yes, class) }

// trains tells whether pictures of the class train the head.
func (q Question) trains(class string) bool { return !slices.Contains(q.Unclear, class) }
