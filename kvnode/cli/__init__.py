"""
The command line.

    app            the program: global options, all commands, those of others
    invocation     what a command is given: a client, the forms of keys and output
    failures       errors as one line and an exit code
    arguments      text from the command line to values
    output         values to text and JSON
    plugins        commands that other packages add
    commands/      one file a command group
    transfer/      files: import, export, backup, restore

Start-up must be quick, since people and scripts run this many times: nothing here
imports gRPC or pydantic before a command needs it, which is why some imports are
inside functions.
"""
