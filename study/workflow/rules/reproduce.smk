# A part of a published study, made again and held against it; the table of that is what it prints.
rule reproduce:
    input:
        loaded(
            "study.workflow.reproduce",
            *STEPS["truths"].loads,
            *STEPS["numeric"].loads,
            *STEPS["pymc"].loads,
        ),
    log:
        f"{OUT}/logs/reproduce.log",
    params:
        design=config.get("design", "default"),
        draw=config.get("draw", 1),
    localrule: True
    shell:
        "python -m study reproduce {params.design:q} --seed {params.draw:q} 2> {log:q}"
