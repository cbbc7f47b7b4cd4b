"""The IRC dialect: any IRC client joins the same rooms, on the same port.

What is one connection's is in its reader; what is written the same to all who talk so is in
`encode.py`, whose flavours differ only in what changes a line that everybody gets.
"""
