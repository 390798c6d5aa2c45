package dashboard

import (
	"bytes"
	"encoding/json"
)

// schemaVersion is that of Grafana 10.3; later releases convert what is older.
const schemaVersion = 39

// Dashboard is a dashboard as Grafana reads it.
type Dashboard struct {
	UID           string      `json:"uid"`
	Title         string      `json:"title"`
	Description   string      `json:"description"`
	Tags          []string    `json:"tags"`
	SchemaVersion int         `json:"schemaVersion"`
	Version       int         `json:"version"`
	ID            *int        `json:"id"` // null: the importing Grafana chooses
	Editable      bool        `json:"editable"`
	GraphTooltip  int         `json:"graphTooltip"`
	Refresh       string      `json:"refresh"`
	Timezone      string      `json:"timezone"`
	Time          TimeRange   `json:"time"`
	Annotations   Annotations `json:"annotations"`
	Links         []Link      `json:"links"`
	Templating    Templating  `json:"templating"`
	Panels        []Panel     `json:"panels"`
}

// TimeRange is what a dashboard shows when it is opened.
type TimeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Annotations has none of its own. Grafana wants the list.
type Annotations struct {
	List []any `json:"list"`
}

// Link leads to the other dashboards with a tag.
type Link struct {
	Type        string   `json:"type"`
	Title       string   `json:"title"`
	Tags        []string `json:"tags"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	AsDropdown  bool     `json:"asDropdown"`
	TargetBlank bool     `json:"targetBlank"`
}

// Templating has a dashboard's variables.
type Templating struct {
	List []Variable `json:"list"`
}

// Variable is one that a reader chooses, or that the chart sets.
type Variable struct {
	Name       string      `json:"name"`
	Query      any         `json:"query"` // a text; of a query variable a VariableQuery
	Label      string      `json:"label,omitempty"`
	Type       string      `json:"type"`
	Datasource *Datasource `json:"datasource,omitempty"`
	Definition string      `json:"definition,omitempty"`
	Regex      string      `json:"regex,omitempty"`
	Refresh    int         `json:"refresh,omitempty"` // 1: when the dashboard is loaded, 2: when the time range changes
	Sort       int         `json:"sort,omitempty"`    // 1: by the alphabet
	Multi      bool        `json:"multi,omitempty"`
	IncludeAll bool        `json:"includeAll,omitempty"`
	AllValue   string      `json:"allValue,omitempty"`
	Hide       int         `json:"hide"` // 2: not shown
	Options    []Option    `json:"options,omitempty"`
	Current    *Option     `json:"current,omitempty"`
}

// VariableQuery is how the Prometheus data source is asked for a variable's values.
type VariableQuery struct {
	QryType int    `json:"qryType"` // 1: the values of a label
	Query   string `json:"query"`
	RefID   string `json:"refId"`
}

// Option is a value of a variable.
type Option struct {
	Selected bool `json:"selected"`
	Text     any  `json:"text"`  // a string; of a variable with several values a list
	Value    any  `json:"value"` // the same
}

// Datasource says whom to ask.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// GridPos is a panel's place; the grid is 24 wide.
type GridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// Panel is a panel or, with the type "row", the heading of those that follow.
type Panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	GridPos         GridPos          `json:"gridPos"`
	Datasource      *Datasource      `json:"datasource,omitempty"`
	Targets         []Target         `json:"targets,omitempty"`
	FieldConfig     *FieldConfig     `json:"fieldConfig,omitempty"`
	Options         any              `json:"options,omitempty"`
	Transformations []Transformation `json:"transformations,omitempty"`
	Collapsed       *bool            `json:"collapsed,omitempty"` // of a row
	Panels          *[]Panel         `json:"panels,omitempty"`    // of a row; those of one that is collapsed
}

// Target is one query of a panel.
type Target struct {
	RefID        string     `json:"refId"`
	Datasource   Datasource `json:"datasource"`
	EditorMode   string     `json:"editorMode"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
	Format       string     `json:"format"`
	Instant      bool       `json:"instant"`
	Range        bool       `json:"range"`
}

// FieldConfig says how values are shown.
type FieldConfig struct {
	Defaults  Field      `json:"defaults"`
	Overrides []Override `json:"overrides"`
}

// Field is how a value is shown.
type Field struct {
	Unit       string         `json:"unit,omitempty"`
	Decimals   *int           `json:"decimals,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      Color          `json:"color"`
	Thresholds Thresholds     `json:"thresholds"`
	Mappings   []Mapping      `json:"mappings"`
	Custom     map[string]any `json:"custom,omitempty"`
}

// Color is how a color is chosen.
type Color struct {
	Mode string `json:"mode"`
}

// Thresholds are the values from which a color holds.
type Thresholds struct {
	Mode  string `json:"mode"`
	Steps []Step `json:"steps"`
}

// Step is a threshold; that of the lowest values is null.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// Mapping gives values a text.
type Mapping struct {
	Type    string            `json:"type"`
	Options map[string]Mapped `json:"options"`
}

// Mapped is the text of a value.
type Mapped struct {
	Text  string `json:"text"`
	Color string `json:"color"`
	Index int    `json:"index"`
}

// Override changes some fields of a panel.
type Override struct {
	Matcher    Matcher    `json:"matcher"`
	Properties []Property `json:"properties"`
}

// Matcher selects fields.
type Matcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

// Property is what an override sets.
type Property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

// Transformation changes what the queries gave before it is shown.
type Transformation struct {
	ID      string `json:"id"`
	Options any    `json:"options"`
}

// JSON returns the text that is in the chart. Helm and people read it, so < and > stay what they are.
func (d Dashboard) JSON() ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// EveryPanel returns the panels with those of collapsed rows, without the rows themselves.
func (d Dashboard) EveryPanel() []Panel {
	var all []Panel
	for _, p := range d.Panels {
		if p.Type != "row" {
			all = append(all, p)
		} else if p.Panels != nil {
			all = append(all, *p.Panels...)
		}
	}
	return all
}
