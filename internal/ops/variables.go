package ops

import (
	"reflect"
	"strings"
)

// Variable is one setting as the code declares it.
type Variable struct {
	Name     string
	Default  string // as the env tag says it; "" for none
	Takes    string // in words
	Help     string // the field's help tag
	Required bool
	Secret   bool

	// Family is what its name begins with, and FamilyHelp what they are for, where it is one of several that help shows in a line: of a
	// nested struct with a help tag.
	Family, FamilyHelp string
}

// Variables lists the settings of cfg, a struct with env tags or a pointer to one, in the order of its fields. Settings of
// nested structs come under their full names.
func Variables(cfg any) []Variable {
	var vs []Variable
	for _, l := range leaves(reflect.TypeOf(cfg), "") {
		v := Variable{Name: l.name, Takes: takes(l.field.Type), Help: l.field.Tag.Get("help"), Secret: isSecret(l.field.Type), Family: l.family, FamilyHelp: l.familyHelp}
		_, options, _ := strings.Cut(l.field.Tag.Get("env"), ",")
		// A default takes the rest of the tag, commas and all (go-envconfig, README, "Default").
		options, v.Default, _ = strings.Cut(options, "default=")
		v.Required = strings.Contains(options, "required")
		vs = append(vs, v)
	}
	return vs
}

// leaf is a field that one variable fills.
type leaf struct {
	name, prefix       string
	family, familyHelp string
	field              reflect.StructField
}

func leaves(t reflect.Type, prefix string) []leaf {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var out []leaf
	for f := range t.Fields() {
		if !f.IsExported() {
			continue
		}
		key, options, _ := strings.Cut(f.Tag.Get("env"), ",")
		switch key = strings.TrimSpace(key); {
		case key != "":
			out = append(out, leaf{name: prefix + key, prefix: prefix, field: f})
		case f.Type.Kind() == reflect.Struct, f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
			_, inner, _ := strings.Cut(options, "prefix=")
			inner, _, _ = strings.Cut(inner, ",")
			nested := leaves(f.Type, prefix+inner)
			if help := f.Tag.Get("help"); help != "" {
				for i := range nested {
					nested[i].family, nested[i].familyHelp = prefix+inner, help
				}
			}
			out = append(out, nested...)
		}
	}
	return out
}
