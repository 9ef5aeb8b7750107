"""The small pieces of the pages; the large ones are files in `pages/hosted`."""

from string import Template

from api_shim.hosted.html import Html

RELOAD = Template('<meta http-equiv="refresh" content="$seconds">\n')
LEAVE = Template('<meta http-equiv="refresh" content="0; url=$url">\n')

BRAND = Template('<header class="brand">$mark<bdi>$name</bdi></header>')
LOGO = Template('<img src="$url" alt="" referrerpolicy="no-referrer">')
INITIAL = Template('<span class="initial" aria-hidden="true">$letter</span>')

SUMMARY = Template(
    '<div id="problem" class="summary" role="alert" tabindex="-1" autofocus aria-labelledby="problem-title">\n'
    '<h2 id="problem-title">It did not work</h2>\n<ul>\n$items\n</ul>\n</div>'
)
SUMMARY_LINK = Template('<li><a href="#$field">$text</a></li>')
SUMMARY_TEXT = Template("<li>$text</li>")

ERROR = Template('<p id="${field}-error" class="error"><span class="spoken">Error: </span>$text</p>\n')
DESCRIBED = Template('aria-describedby="${field}-hint"')
DESCRIBED_WRONG = Template('aria-invalid="true" aria-describedby="${field}-error ${field}-hint"')

BACK = Template('<p><a href="$url">Back to <bdi>$name</bdi> without connecting</a></p>')
BUTTON = Template('<p><a class="button" href="$url">$text</a></p>')

DONE = Html(
    '<svg class="sign" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true">'
    '<circle cx="24" cy="24" r="24"></circle><path d="M14 25l7 7 13-15"></path></svg>\n'
)
WORKING = Html(
    '<svg class="sign working" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true">'
    '<circle cx="24" cy="24" r="21"></circle><path d="M24 3a21 21 0 0 1 21 21"></path></svg>\n'
)
