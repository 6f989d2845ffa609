"""The scripted model: a provider that needs no key, costs nothing and always answers the same.

`directives` lists what a prompt may ask of it, `script` derives the answer, `openai_wire`,
`anthropic_wire` and `embeddings` put it on the wire, `provider` serves it in-process and `server`
over HTTP. It is product code for rehearsals; a deployment warns when it is in use.
"""
