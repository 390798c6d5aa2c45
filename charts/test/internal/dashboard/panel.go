package dashboard

import (
	"maps"
	"slices"
	"strings"
)

// prometheusSource is the data source that the reader chose.
var prometheusSource = Datasource{Type: "prometheus", UID: "${datasource}"}

// query is one line, or several, of a panel.
type query struct{ expr, legend string }

// The kinds of panels. size is the width, of 24.

// graph shows queries over the time range.
func graph(size int, title, unit, description string, queries ...query) Panel {
	p := newPanel("timeseries", size, 8, title, unit, description, queries)
	zero := 0.0
	p.FieldConfig.Defaults.Min = &zero
	p.FieldConfig.Defaults.Color.Mode = "palette-classic"
	p.FieldConfig.Defaults.Custom = map[string]any{
		"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false,
		"axisPlacement": "auto", "stacking": map[string]any{"mode": "none", "group": "A"},
		"thresholdsStyle": map[string]any{"mode": "off"},
	}
	p.Options = map[string]any{
		// The line that matters is the highest one, of however many.
		"legend":  map[string]any{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull", "max"}, "sortBy": "Max", "sortDesc": true},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
	return p
}

// stat shows the present value of its queries as figures.
func stat(size int, title, unit, description string, queries ...query) Panel {
	p := newPanel("stat", size, 4, title, unit, description, queries)
	p.now()
	p.Options = map[string]any{
		"colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	return p
}

// bars shows the present value of each series of its queries, in their order.
func bars(size int, title, unit, description string, queries ...query) Panel {
	p := newPanel("bargauge", size, 9, title, unit, description, queries)
	p.now()
	zero := 0.0
	p.FieldConfig.Defaults.Min = &zero
	p.Options = map[string]any{
		"displayMode": "basic", "orientation": "horizontal", "showUnfilled": true, "valueMode": "text",
		"minVizHeight": 8, "minVizWidth": 8, "namePlacement": "left", "sizing": "auto",
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	return p
}

// states shows how the values of its queries changed, as colored bands.
func states(size int, title, description string, mapping Mapping, queries ...query) Panel {
	p := newPanel("state-timeline", size, 8, title, "none", description, queries)
	p.FieldConfig.Defaults.Mappings = []Mapping{mapping}
	p.FieldConfig.Defaults.Custom = map[string]any{"fillOpacity": 70, "lineWidth": 0, "spanNulls": false}
	p.Options = map[string]any{
		"alignValue": "left", "mergeValues": true, "rowHeight": 0.8, "showValue": "auto",
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": map[string]any{"mode": "single", "sort": "none"},
	}
	return p
}

// column is one of a table: a label, or the value of the query with that place.
type column struct{ field, title, unit string }

// table shows the present series of its queries as lines, which are joined where their labels are the same.
func table(size int, title, description string, columns []column, queries ...query) Panel {
	p := newPanel("table", size, 9, title, "none", description, queries)
	p.now()
	for i := range p.Targets {
		p.Targets[i].Format = "table"
	}
	names, places := map[string]string{}, map[string]int{}
	for i, c := range columns {
		names[c.field], places[c.field] = c.title, i
		if c.unit != "" {
			p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{
				Matcher{"byName", c.title}, []Property{{"unit", c.unit}},
			})
		}
	}
	shown := slices.Sorted(maps.Keys(names))
	p.Transformations = []Transformation{
		{"merge", map[string]any{}},
		{"filterFieldsByName", map[string]any{"include": map[string]any{"names": shown}}},
		{"organize", map[string]any{"excludeByName": map[string]bool{}, "indexByName": places, "renameByName": names}},
	}
	p.FieldConfig.Defaults.Custom = map[string]any{"align": "auto", "cellOptions": map[string]any{"type": "auto"}, "filterable": true}
	p.Options = map[string]any{"showHeader": true, "cellHeight": "sm", "footer": map[string]any{"show": false}}
	return p
}

func newPanel(kind string, width, height int, title, unit, description string, queries []query) Panel {
	p := Panel{
		Type: kind, Title: title, Description: description,
		GridPos:    GridPos{W: width, H: height},
		Datasource: &prometheusSource,
		FieldConfig: &FieldConfig{
			Defaults: Field{
				Unit: unit, Color: Color{"thresholds"}, Mappings: []Mapping{},
				Thresholds: Thresholds{"absolute", []Step{{Color: "green"}}},
			},
			Overrides: []Override{},
		},
	}
	for i, q := range queries {
		p.Targets = append(p.Targets, Target{
			RefID: string(rune('A' + i)), Datasource: prometheusSource, EditorMode: "code",
			Expr: q.expr, LegendFormat: q.legend, Format: "time_series", Range: true,
		})
	}
	return p
}

// now makes a panel ask for the present only, which costs as little as one point of a graph.
func (p *Panel) now() {
	for i := range p.Targets {
		p.Targets[i].Instant, p.Targets[i].Range = true, false
	}
}

// from gives a panel another color from a value on.
func (p Panel) from(value float64, color string) Panel {
	steps := &p.FieldConfig.Defaults.Thresholds.Steps
	*steps = append(*steps, Step{color, &value})
	if p.Type == "timeseries" {
		p.FieldConfig.Defaults.Custom["thresholdsStyle"] = map[string]any{"mode": "dashed"}
	}
	return p
}

// bound draws a legend's line as a dashed one without a filling.
func (p Panel) bound(legend string) Panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{
		Matcher{"byName", legend},
		[]Property{
			{"custom.lineStyle", map[string]any{"fill": "dash", "dash": []int{10, 10}}},
			{"custom.fillOpacity", 0},
			{"color", map[string]any{"mode": "fixed", "fixedColor": "red"}},
		},
	})
	return p
}

// fromAnywhere lets the axis of a graph begin below zero.
func (p Panel) fromAnywhere() Panel {
	p.FieldConfig.Defaults.Min = nil
	return p
}

// says gives the values of a panel texts.
func (p Panel) says(m Mapping) Panel {
	p.FieldConfig.Defaults.Mappings = append(p.FieldConfig.Defaults.Mappings, m)
	return p
}

// texts makes a mapping of value, text, color, value, text, color...
func texts(of ...string) Mapping {
	m := Mapping{"value", map[string]Mapped{}}
	for i := 0; i+2 < len(of); i += 3 {
		m.Options[of[i]] = Mapped{of[i+1], of[i+2], i / 3}
	}
	return m
}

// The kinds of variables.

// datasource is the data source. The chart sets another one than Grafana's default.
func datasource() Variable {
	return Variable{
		Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1,
		Current: &Option{true, "default", "default"},
	}
}

// choice has the values of a label. All of them is no long list of names but one expression, which also
// holds for series without the label.
func choice(name, label, metric, of string) Variable {
	text := "label_values(" + metric + ", " + of + ")"
	return Variable{
		Name: name, Label: label, Type: "query", Datasource: &prometheusSource,
		Definition: text, Query: VariableQuery{1, text, "PrometheusVariableQueryEditor-VariableQuery"},
		Refresh: 1, Sort: 1, Multi: true, IncludeAll: true, AllValue: ".*",
		Current: &Option{true, []string{"All"}, []string{"$__all"}},
	}
}

// one makes a choice one of a single value.
func (v Variable) one() Variable {
	v.Multi, v.IncludeAll, v.AllValue, v.Current = false, false, "", nil
	return v
}

// constant is what the chart knows: it replaces the value.
func constant(name, value string) Variable {
	return Variable{Name: name, Type: "constant", Query: value, Hide: 2}
}

// input is what only the reader knows.
func input(name, label, value string) Variable {
	return Variable{Name: name, Label: label, Type: "textbox", Query: value}
}

// durations is a choice of one, the first being chosen; of text, seconds, text, seconds...
func durations(name, label string, of ...string) Variable {
	v := Variable{Name: name, Label: label, Type: "custom"}
	var texts []string
	for i := 0; i+1 < len(of); i += 2 {
		v.Options = append(v.Options, Option{i == 0, of[i], of[i+1]})
		texts = append(texts, of[i]+" : "+of[i+1])
	}
	v.Query, v.Current = strings.Join(texts, ","), &v.Options[0]
	return v
}
