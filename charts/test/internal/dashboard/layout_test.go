package dashboard

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNumbersAndNamesAreUnique(t *testing.T) {
	uids, titles := map[string]bool{}, map[string]bool{}
	for file, d := range All() {
		assert.Equal(t, file, d.UID+".json")
		assert.False(t, uids[d.UID] || titles[d.Title], "%s, %s", d.UID, d.Title)
		uids[d.UID], titles[d.Title] = true, true
		ids, panels := map[int]bool{}, map[string]bool{}
		for _, p := range allPanels(d) {
			assert.False(t, ids[p.ID] || p.ID == 0, "%s: %d, %s", d.UID, p.ID, p.Title)
			ids[p.ID] = true
		}
		for _, p := range d.EveryPanel() {
			key := p.Type + " " + p.Title
			assert.False(t, panels[key], "%s: %s is there twice", d.UID, key)
			panels[key] = true
			refs := map[string]bool{}
			for _, target := range p.Targets {
				assert.False(t, refs[target.RefID], "%s: %s", p.Title, target.RefID)
				refs[target.RefID] = true
			}
		}
	}
}

// allPanels returns rows and panels, also those of collapsed rows.
func allPanels(d Dashboard) []Panel {
	all := slices.Clone(d.Panels)
	for _, p := range d.Panels {
		if p.Panels != nil {
			all = append(all, *p.Panels...)
		}
	}
	return all
}

func TestPanelsLieSideBySide(t *testing.T) {
	for _, d := range All() {
		taken := map[[2]int]string{}
		for _, p := range allPanels(d) {
			g := p.GridPos
			assert.True(t, g.X >= 0 && g.W > 0 && g.X+g.W <= gridWidth && g.Y >= 0 && g.H > 0, "%s, %s: %+v", d.UID, p.Title, g)
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					assert.Empty(t, taken[[2]int{x, y}], "%s: %s lies on it at %d, %d", d.UID, p.Title, x, y)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// No line has a hole at its end, and a row is no more than two lines of panels.
func TestRowsAreReadable(t *testing.T) {
	for _, d := range All() {
		var rows, lines int
		widths := map[int]int{}
		for _, p := range allPanels(d) {
			widths[p.GridPos.Y] += p.GridPos.W
		}
		for _, p := range allPanels(d) {
			assert.Equal(t, gridWidth, widths[p.GridPos.Y], "%s: the line of %s", d.UID, p.Title)
			if p.Type == "row" {
				rows, lines = rows+1, 0
			} else if p.GridPos.X == 0 {
				lines++
				assert.LessOrEqual(t, lines, 2, "%s: %s", d.UID, p.Title)
			}
		}
		assert.LessOrEqual(t, rows, 6, "%s: rows", d.UID)
		require.Equal(t, "row", d.Panels[0].Type, d.UID)
		assert.False(t, *d.Panels[0].Collapsed, "%s: what matters most is open", d.UID)
	}
}

// units are those of Grafana that are in use here.
var units = []string{"none", "short", "cps", "reqps", "s", "bytes", "percentunit"}

// selfEvident are panels that need no description.
var selfEvident = []string{"Samples received by hub", "Samples delivered to each hub", "Samples in a scrape"}

func TestPanelsSayWhatTheyShow(t *testing.T) {
	for _, d := range All() {
		for _, p := range d.EveryPanel() {
			assert.Contains(t, units, p.FieldConfig.Defaults.Unit, "%s: %s", d.UID, p.Title)
			assert.Equal(t, slices.Contains(selfEvident, p.Title), p.Description == "", "%s: %s: %q", d.UID, p.Title, p.Description)
			if p.Description != "" {
				assert.True(t, strings.HasSuffix(p.Description, "."), "%s: %s: sentences", d.UID, p.Title)
			}
			assert.NotEmpty(t, p.Targets, "%s: %s", d.UID, p.Title)
			assert.Equal(t, p.Type != "timeseries" && p.Type != "state-timeline", p.Targets[0].Instant, "%s: %s", d.UID, p.Title)
			if strings.HasSuffix(p.FieldConfig.Defaults.Unit, "ps") {
				for _, target := range p.Targets {
					assert.Contains(t, target.Expr, "rate(", "%s: %s is no rate", d.UID, p.Title)
				}
			}
		}
	}
}

// An override, a column or a mapping that names nothing has no effect, and Grafana does not say so.
func TestOverridesNameSomething(t *testing.T) {
	for _, d := range All() {
		for _, p := range d.EveryPanel() {
			var names []string
			for _, target := range p.Targets {
				names = append(names, target.LegendFormat)
			}
			for _, transformation := range p.Transformations {
				if transformation.ID == "organize" {
					for _, title := range transformation.Options.(map[string]any)["renameByName"].(map[string]string) {
						names = append(names, title)
					}
				}
			}
			for _, o := range p.FieldConfig.Overrides {
				assert.Contains(t, names, o.Matcher.Options, "%s: %s", d.UID, p.Title)
			}
		}
	}
}

// A dashboard that is provisioned asks nobody for its data source, and every query goes to the chosen one.
func TestDashboardsAreForProvisioning(t *testing.T) {
	for _, d := range All() {
		text, err := d.JSON()
		require.NoError(t, err)
		assert.Less(t, len(text), 200_000, d.UID)
		var top map[string]any
		require.NoError(t, json.Unmarshal(text, &top))
		assert.NotContains(t, top, "__inputs")
		assert.NotContains(t, top, "__requires")
		assert.Nil(t, top["id"])
		assert.GreaterOrEqual(t, d.SchemaVersion, 39)
		assert.Equal(t, "datasource", d.Templating.List[0].Type, "%s: the variable that the others need comes first", d.UID)
		for _, p := range d.EveryPanel() {
			assert.Equal(t, prometheusSource, *p.Datasource, "%s: %s", d.UID, p.Title)
			for _, target := range p.Targets {
				assert.Equal(t, prometheusSource, target.Datasource, "%s: %s", d.UID, p.Title)
			}
		}
	}
}
