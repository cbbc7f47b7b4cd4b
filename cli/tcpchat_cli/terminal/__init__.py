"""The parts of tcpchat-client.

`app` reads the command line and chooses between the two ways to talk: `screen` on a terminal,
`lines` in a pipe. Both get a `connection` that is open, and let `entrance` find a nickname and a
room. What is shown is made in `render` (with the colours of `theme`). Nothing here knows gevent.
"""
