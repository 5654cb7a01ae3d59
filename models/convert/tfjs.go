package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// TFJS converts a graph model of TensorFlow.js to ONNX: topology is its JSON file, weights the bytes of its one file of weights, as 32-bit
// floats, 32-bit whole numbers or 16-bit floats.
func TFJS(topology, weights []byte, outs []Output) (onnx []byte, err error) {
	defer func() {
		if err != nil {
			onnx, err = nil, fmt.Errorf("convert a TensorFlow.js model: %w", err)
		}
	}()
	if len(topology) > maxBytes || len(weights) > maxBytes {
		return nil, fmt.Errorf("files of %d and %d bytes, at most %d are accepted", len(topology), len(weights), maxBytes)
	}
	var file tfjsFile
	if err := json.Unmarshal(topology, &file); err != nil {
		return nil, fmt.Errorf("read the JSON file: %w", err)
	}
	t := &tfjs{g: &graph{}, nodes: map[string]*tfjsNode{}, weights: map[string]*value{}, values: map[string]*value{}, uses: map[string]int{}, open: map[string]bool{}}
	if err := t.readNodes(file.Topology.Node); err != nil {
		return nil, err
	}
	if err := t.readWeights(file.Manifest, weights); err != nil {
		return nil, err
	}
	return t.g.finish(outs, t.find)
}

// tfjsFile is the part of the JSON file that is used.
type tfjsFile struct {
	Topology struct {
		Node []*tfjsNode `json:"node"`
	} `json:"modelTopology"`
	Manifest []tfjsGroup `json:"weightsManifest"`
}

type tfjsNode struct {
	Name  string              `json:"name"`
	Op    string              `json:"op"`
	Input []string            `json:"input"`
	Attr  map[string]tfjsAttr `json:"attr"`
}

// tfjsAttr is one attribute; texts are in base64, as encoding/json reads bytes.
type tfjsAttr struct {
	B    bool   `json:"b"`
	S    []byte `json:"s"`
	List struct {
		I []tfjsInt `json:"i"`
		S [][]byte  `json:"s"`
	} `json:"list"`
	Shape struct {
		Dim []struct {
			Size tfjsInt `json:"size"`
		} `json:"dim"`
	} `json:"shape"`
}

// tfjsInt is a whole number, which the files write as a text or as a number.
type tfjsInt int

// UnmarshalJSON reads either form.
func (i *tfjsInt) UnmarshalJSON(b []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(b), `"`))
	*i = tfjsInt(n)
	return err
}

type tfjsGroup struct {
	Weights []struct {
		Name         string `json:"name"`
		Shape        []int  `json:"shape"`
		Type         string `json:"dtype"`
		Quantization *struct {
			Type string `json:"dtype"`
		} `json:"quantization"`
	} `json:"weights"`
}

// tfjs is one model being converted.
type tfjs struct {
	g       *graph
	nodes   map[string]*tfjsNode
	weights map[string]*value
	values  map[string]*value
	uses    map[string]int  // how many inputs of other nodes a node is
	open    map[string]bool // nodes whose inputs are being converted: a node that meets itself has no value
}

func (t *tfjs) readNodes(nodes []*tfjsNode) error {
	if len(nodes) > maxNodes {
		return fmt.Errorf("%d nodes, at most %d are accepted", len(nodes), maxNodes)
	}
	for i, n := range nodes {
		if n == nil || n.Name == "" {
			return fmt.Errorf("node %d has no name", i)
		}
		if t.nodes[n.Name] != nil {
			return fmt.Errorf("two nodes are named %q", n.Name)
		}
		n.Input = slices.DeleteFunc(n.Input, func(s string) bool { return strings.HasPrefix(s, "^") }) // order of running only
		t.nodes[n.Name] = n
		for _, in := range n.Input {
			t.uses[in]++
		}
	}
	return nil
}

// readWeights cuts the bytes into the constants that the manifest lists, in its order.
func (t *tfjs) readWeights(groups []tfjsGroup, data []byte) error {
	at := 0
	for _, g := range groups {
		for _, w := range g.Weights {
			n, err := product(w.Shape)
			if err != nil {
				return fmt.Errorf("weights %q: %w", w.Name, err)
			}
			kind := w.Type
			if w.Quantization != nil {
				kind = w.Type + " stored as " + w.Quantization.Type
			}
			width, known := map[string]int{"float32": 4, "int32": 4, "float32 stored as float16": 2}[kind]
			if !known {
				return &UnknownError{What: "data type", Name: kind, Node: w.Name}
			}
			if n*width > len(data)-at {
				return fmt.Errorf("weights %q want %d bytes at %d, the file has %d", w.Name, n*width, at, len(data))
			}
			if len(t.weights) >= maxNodes {
				return fmt.Errorf("more than %d weights", maxNodes)
			}
			part, v := data[at:at+n*width], &value{shape: w.Shape}
			switch {
			case width == 2:
				v.f = halves(part)
			case kind == "int32":
				v.i = wholes(part)
			default:
				v.f = singles(part)
			}
			t.weights[w.Name] = v
			at += n * width
		}
	}
	if at != len(data) {
		return fmt.Errorf("the file of weights has %d bytes, the manifest lists %d", len(data), at)
	}
	return nil
}

// find gives the tensor of a node, converting what it needs first.
func (t *tfjs) find(name string) (*value, error) {
	name, port, _ := strings.Cut(name, ":")
	if port != "" && port != "0" {
		return nil, &UnknownError{What: "second output of node", Name: name}
	}
	if v, ok := t.values[name]; ok {
		return v, nil
	}
	n := t.nodes[name]
	if n == nil {
		return nil, fmt.Errorf("the model has no node %q", name)
	}
	if t.open[name] {
		return nil, fmt.Errorf("node %q depends on itself", name)
	}
	t.open[name] = true
	v, err := t.apply(n)
	if err != nil {
		return nil, err
	}
	delete(t.open, name)
	t.values[name] = v
	return v, nil
}

// at is what is wrong with a node.
func (n *tfjsNode) at(err error) error {
	var unknown *UnknownError
	if err == nil || errors.As(err, &unknown) {
		return err
	}
	var placed *nodeError
	if errors.As(err, &placed) {
		return err
	}
	return &nodeError{n, err}
}

// nodeError names the node nearest to the fault, once.
type nodeError struct {
	node *tfjsNode
	err  error
}

func (e *nodeError) Error() string {
	return fmt.Sprintf("%s %q: %v", e.node.Op, e.node.Name, e.err)
}

func (e *nodeError) Unwrap() error { return e.err }

// input gives the i-th input of a node.
func (t *tfjs) input(n *tfjsNode, i int) (*value, error) {
	if i >= len(n.Input) {
		return nil, fmt.Errorf("input %d is missing", i)
	}
	return t.find(n.Input[i])
}

// list gives the i-th input of a node, which must be a constant of whole numbers.
func (t *tfjs) list(n *tfjsNode, i int) ([]int, error) {
	v, err := t.input(n, i)
	if err != nil {
		return nil, err
	}
	if v.i == nil {
		return nil, fmt.Errorf("input %d is not a constant of whole numbers", i)
	}
	out := make([]int, len(v.i))
	for k, x := range v.i {
		out[k] = int(x)
	}
	return out, nil
}
