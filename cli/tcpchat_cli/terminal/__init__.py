"""The parts of tcpchat-client, by what they are for.

To begin and to end: `app` reads the command line; `configuration` says what holds of it and of
`settings` (with `client_toml`, `check` and `first_start`); `opening` makes the `connection` (to an
`address`, as a `device`), `overdue` says when it is left, `entrance` finds a nickname and rooms,
`exits` has the exit statuses.

To talk without a screen: `lines` and `jsonlines` in a pipe, which `stdin` reads and `output`
writes; `scripts` are the tools `send` and `tail` (`feed` decides what that prints).

To talk on a terminal: `screen` joins the parts to the connection. What is told is put by `routing`
into a `view` of the `views`, by the `board`; comings and goings by `presence` and `folding`, what
was taken back by `redactions`. Which message a number means says `numbering`. What is typed is done
by `typed`: `commands`, `topics` (of help), `completion`, `paste`, `unsent`, `replies`, `ignored`;
searches and the past by `finding` with `find`, `looking` and `places`; `addresses` by `links` and
`browser`. How far one has read says `reading`, whether one is there `away`.

To be called: `called` joins `highlights`, `mentions`, `notify` and `hooks`.

To be seen: `render` makes lines of notices, with the colours of `theme`; `layout` makes rows of
them, by the columns of `widths`. They are shown on a `surface`: `display` above a prompt (with
`cells`), `panes` in full screen (with `scroll`, `sides` and `pacing`), `linear` line after line.
`toolbar`, `title` and `hints` stand around them; `keys` and `key_settings` are what is pressed,
`window` and `focus` what is around the screen.

To keep: `logs` what was shown, and `kept_files` small files. `failures` words why something went
wrong, and `reference` is the page of the manual. Nothing here knows gevent.
"""
