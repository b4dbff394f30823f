"""The report page's template. It loads nothing: figures come as data URIs, and its own policy forbids any request."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ verdict.word }}: {{ title }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 68rem; }
body { margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0 1rem; } figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
.verdict { border-left: .5rem solid #555; padding: .6rem 1rem; background: #f4f4f4; }
.PASS { border-color: #1b7f3b; } .FAIL { border-color: #b3261e; } .INCONCLUSIVE { border-color: #8a6d00; }
.fault { font-weight: bold; }
.samples { display: flex; flex-wrap: wrap; gap: .3rem; margin: .2rem 0; }
.samples img { width: 96px; height: 96px; object-fit: contain; background: #eee; }
.kind { color: #444; font-size: .85rem; margin: .4rem 0 0; }
code, pre { font-size: .8rem; overflow-wrap: anywhere; } pre { white-space: pre-wrap; }
</style>
</head>
<body>
{% macro grid(table) -%}
<p class="kind">{{ table.caption }}</p>
<div class="wide" tabindex="0" role="region" aria-label="{{ table.caption }}"><table>
<thead><tr>{% for cell in table.head %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}<tr>
{%- for cell in row %}
{%- if not loop.first %}<td>{{ cell }}</td>
{%- elif cell in table.marked %}<th scope="row" class="fault">{{ cell }} (fault)</th>
{%- else %}<th scope="row">{{ cell }}</th>
{%- endif %}{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{%- endmacro %}
<main>
<h1>{{ title }}</h1>
<p class="verdict {{ verdict.word }}"><strong>{{ verdict.word }}.</strong> {{ verdict.sentence }}</p>
<p>{{ next_step }}</p>
<h2>The faults</h2>
<ul>{% for sentence in faults %}<li>{{ sentence }}</li>
{% else %}<li>No label is marked as a fault.</li>
{% endfor %}</ul>
{% for sentence in gate %}<p>{{ sentence }}</p>
{% endfor %}
{% if photograph %}<h2>What to photograph next</h2>
{{ grid(photograph.table) }}
{% endif %}
<h2>Hours saved</h2>
<p>{{ hours }}</p>
<h2>Samples</h2>
<p>Training images of each class: real ones, and generated ones that curation kept.</p>
{% for sample in samples %}
<h3>{{ sample.label }}</h3>
{% for kind, images in sample.kinds %}
<p class="kind">{{ kind }}</p>
<div class="samples">
{% for image in images %}<img src="{{ image.uri }}" alt="{{ image.text }}" title="{{ image.text }}">
{% endfor %}
</div>
{% endfor %}
{% endfor %}
<h2>Figures</h2>
<div class="figures">
{% for figure in figures %}
<figure>
<img src="{{ figure.uri }}" alt="{{ figure.text }}">
<figcaption class="kind">{{ figure.text }}</figcaption>
</figure>
{% endfor %}
</div>
<h2>All arms</h2>
{{ grid(arms) }}
{{ grid(differences) }}
<h2>All classes</h2>
{{ grid(classes) }}
<h2>Generated images</h2>
<p>{{ curation.sentence }}</p>
{% if curation.table.rows %}{{ grid(curation.table) }}{% endif %}
{% for sheet in curation.sheets %}
<details><summary>{{ sheet.title }}</summary><img class="sheet" src="{{ sheet.uri }}" alt="{{ sheet.title }}"></details>
{% endfor %}
<h2>Data</h2>
<p>{{ data.sentence }}</p>
{{ grid(data.table) }}
{% for listing in data.listings %}
<details><summary>{{ listing.name }}: {{ listing.rows | length }}</summary>
<ul>{% for row in listing.rows %}<li><code>{{ row.path }}</code>: {{ row.reason }}</li>{% endfor %}</ul>
</details>
{% endfor %}
<h2>Limits</h2>
<ul>{% for limit in limits %}<li>{{ limit }}</li>{% endfor %}</ul>
<h2>Provenance</h2>
{{ grid(stages) }}
{{ grid(models) }}
{% if bundle %}{{ grid(bundle) }}{% endif %}
{% for entry in settings %}
<details><summary>Settings of {{ entry.stage }}</summary>
<pre tabindex="0" role="region" aria-label="Settings of {{ entry.stage }}">{{ entry.text }}</pre></details>
{% endfor %}
</main>
</body>
</html>
"""
