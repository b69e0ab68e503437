# A part of a published study, made again and held against it; the table of that is what it prints.
AGAIN = ("truths", "numeric", "pymc", "choose", "evidence", "priors", "external")


rule reproduce:
    input:
        loaded(
            "study.workflow.reproduce",
            *(module for step in AGAIN for module in STEPS[step].loads),
        ),
    log:
        f"{OUT}/logs/reproduce.log",
    params:
        design=config.get("design", "default"),
        draw=config.get("draw", 1),
    localrule: True
    shell:
        "python -m study reproduce {params.design:q} --seed {params.draw:q} 2> {log:q}"
