"""The report page's template. It loads nothing: figures come as data URIs, and its own policy forbids any request."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ verdict }}: {{ title }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 68rem; }
body { margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1rem; }
p, dd, li { max-width: 46rem; }
dt { font-weight: bold; } dd { margin: 0 0 .7rem; } dd ul { margin: 0; padding-left: 1.2rem; }
.wide { overflow-x: auto; overflow-wrap: normal; }
.wide img { max-width: max(100%, 40rem); height: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; }
summary { padding: .3rem 0; cursor: pointer; }
.verdict { border-left: .5rem solid #555; padding: .6rem 1rem; background: #f4f4f4; font-size: 1.2rem; }
.PASS { border-color: #1b7f3b; } .FAIL { border-color: #b3261e; } .INCONCLUSIVE { border-color: #8a6d00; }
.fault { font-weight: bold; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.samples { display: flex; flex-wrap: wrap; gap: .3rem; margin: .2rem 0; }
.samples img { width: 4.8rem; height: 4.8rem; object-fit: contain; background: #eee; }
.kind { color: #444; font-size: .85rem; margin: .4rem 0 0; }
code, pre { font-size: .8rem; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
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
{% macro picture(name) -%}
{% if name in figures %}
<figure>
<figcaption class="kind">{{ figures[name].title }}</figcaption>
<div class="wide" tabindex="0" role="region" aria-label="Figure: {{ figures[name].title }}">
<img src="{{ figures[name].uri }}" alt="{{ figures[name].seen }}"></div>
</figure>
{% endif %}
{%- endmacro %}
<main>
<h1>{{ title }}</h1>
<p class="verdict {{ verdict }}"><strong>{{ verdict }}.</strong> {{ headline }}</p>
<dl>
{% for question, answer in answers %}<dt>{{ question }}</dt><dd>{{ answer }}</dd>
{% endfor %}
<dt>What next?</dt><dd><ul>{% for step in next_steps %}<li>{{ step }}</li>
{% endfor %}</ul></dd>
</dl>
<h2>Which faults gained or lost</h2>
<ul>{% for word, sentence in changes %}<li><strong>{{ word }}:</strong> {{ sentence }}</li>
{% else %}<li>No label is marked as a fault, and no class lost.</li>
{% endfor %}</ul>
<p>“No clear change” means that the difference may be chance.</p>
{% for sentence in gate %}<p>{{ sentence }}</p>
{% endfor %}
{% if photograph %}
<h2>What to photograph next</h2>
{{ grid(photograph) }}
{{ picture("learning-curve") }}
<p class="kind">Measured by cross-validation among the real training images, and drawn further as a power law.
Generated images and the packed network play no part in it, so read it as a hint of the order of size.</p>
{% endif %}
<h2>Hours saved</h2>
<p>{{ hours }}</p>
<h2>Real and generated pictures</h2>
<p>Training images of each class. The generated ones passed curation.</p>
{% for sample in samples %}
<h3>{{ sample.label }}</h3>
<div class="pair">
{% for kind, images in sample.kinds %}
<div><p class="kind">{{ kind }}</p>
<div class="samples">
{% for image in images %}<img src="{{ image.uri }}" alt="{{ image.text }}">
{% else %}none
{% endfor %}
</div></div>
{% endfor %}
</div>
{% endfor %}
<h2>What curation kept and rejected</h2>
<p>{{ curation.sentence }}</p>
{% if curation.table.rows %}{{ grid(curation.table) }}{% endif %}
{% for sheet in curation.sheets %}
<details><summary>{{ sheet.title }}</summary>
<div class="wide" tabindex="0" role="region" aria-label="Contact sheet: {{ sheet.title }}">
<img src="{{ sheet.uri }}" alt="Contact sheet of {{ sheet.title }}"></div></details>
{% endfor %}
<h2>What is taken for what</h2>
{% for name in figures if name.startswith("confusion-") %}{{ picture(name) }}{% endfor %}
<h2>Can its probabilities be believed?</h2>
<p>Of answers that are given 90 %, nine of ten should be right. A line below the dashed one promises too much.
The calibration error is the mean distance between the two.</p>
{{ picture("reliability") }}
{% if packed %}
<h2>The packed classifier</h2>
<p>The bundle holds {{ packed.arm }}, training {{ packed.seed }}.</p>
{% if packed.table.rows %}{{ grid(packed.table) }}{% endif %}
{% endif %}
<h2>Recall of each class</h2>
<p>Recall is the share of a class's pictures that are found.</p>
{{ picture("recall") }}
<details><summary>All classes and arms in numbers</summary>
{{ grid(classes) }}
{{ grid(arms) }}
{{ grid(differences) }}
</details>
<details><summary>Validation curves</summary>{{ picture("validation") }}</details>
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
<details><summary>Documents, models and files with their digests</summary>
{{ grid(stages) }}
{{ grid(models) }}
{% if bundle %}{{ grid(bundle) }}{% endif %}
</details>
<h2>Settings</h2>
{% for entry in settings %}
<details><summary>Settings of {{ entry.stage }}</summary>
<pre tabindex="0" role="region" aria-label="Settings of {{ entry.stage }}">{{ entry.text }}</pre></details>
{% endfor %}
</main>
</body>
</html>
"""
