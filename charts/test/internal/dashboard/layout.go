package dashboard

// row is a heading and its panels, from left to right; one that does not fit begins the next line.
type row struct {
	title     string
	panels    []Panel
	collapsed bool // for what not everyone has: it asks nothing until it is opened
}

const gridWidth = 24

// All returns the dashboards by their file names.
func All() map[string]Dashboard {
	return map[string]Dashboard{
		"hubring-fleet.json":    fleet(),
		"hubring-gateway.json":  gateway(),
		"hubring-hubs.json":     hubs(),
		"hubring-queries.json":  queries(),
		"hubring-exporter.json": exporters(),
	}
}

func board(uid, title, description, shows string, variables []Variable, rows ...row) Dashboard {
	d := Dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{"hubring"},
		SchemaVersion: schemaVersion, Version: 1, Editable: true, GraphTooltip: 1,
		Refresh: "1m", Time: TimeRange{shows, "now"}, Annotations: Annotations{[]any{}},
		Links: []Link{{
			Type: "dashboards", Title: "Hubring", Tags: []string{"hubring"},
			KeepTime: true, IncludeVars: true,
		}},
		Templating: Templating{append([]Variable{datasource()}, variables...)},
	}
	var l layout
	for _, r := range rows {
		d.Panels = append(d.Panels, l.row(r)...)
	}
	return d
}

// layout gives panels their places and numbers.
type layout struct {
	id   int
	next GridPos // X and Y are free; H is the height of the line
}

func (l *layout) row(r row) []Panel {
	l.line()
	heading := l.place(Panel{Type: "row", Title: r.title, GridPos: GridPos{W: gridWidth, H: 1}})
	heading.Collapsed, heading.Panels = &r.collapsed, &[]Panel{}
	panels := make([]Panel, 0, len(r.panels))
	for _, p := range r.panels {
		panels = append(panels, l.place(p))
	}
	if r.collapsed {
		heading.Panels = &panels
		return []Panel{heading}
	}
	return append([]Panel{heading}, panels...)
}

func (l *layout) place(p Panel) Panel {
	if l.next.X+p.GridPos.W > gridWidth {
		l.line()
	}
	l.id++
	p.ID = l.id
	p.GridPos.X, p.GridPos.Y = l.next.X, l.next.Y
	l.next.X += p.GridPos.W
	l.next.H = max(l.next.H, p.GridPos.H)
	return p
}

// line begins the next line, if this one has something.
func (l *layout) line() { l.next = GridPos{Y: l.next.Y + l.next.H} }
