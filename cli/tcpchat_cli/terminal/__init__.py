"""The parts of tcpchat-client.

`app` reads the command line and chooses between the two ways to talk: `screen` on a terminal,
`lines` in a pipe, which `stdin` reads. `opening` makes the `connection` for both, and `entrance`
finds a nickname and a room. What is shown is made in `render` (with the colours of `theme`).
Nothing here knows gevent.
"""
