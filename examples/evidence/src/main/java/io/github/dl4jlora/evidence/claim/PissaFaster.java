package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Task;

import java.util.List;

/**
 * PiSSA's start converges faster than a random one.
 *
 * @param task from odd to even digits, as in the paper
 */
public record PissaFaster(Task task) implements Claim {

    private static final int RANK = 4;
    private static final int SEEDS = 5;
    private static final double RATE = 1e-3;

    @Override
    public Statement statement() {
        return new Statement("pissa",
                "PiSSA converges faster than LoRA: from odd digits to even ones",
                new Source("Meng et al. 2024, \"PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large "
                        + "Language Models\", figure 2", "2404.02948"),
                "A network of two layers that knows MNIST's odd digits learns the even ones: at the same rank, rate and steps "
                        + "the loss of PiSSA falls faster and lower than LoRA's, and follows that of full fine-tuning.");
    }

    @Override
    public Finding examine(Lab lab) {
        // s = alpha / rank = 1, as in the paper.
        Method usual = Method.lora("LoRA", RANK, lora -> lora.alpha(RANK));
        Method pissa = Method.lora("PiSSA", RANK, lora -> lora.alpha(RANK).loraInit(LoRAInit.PISSA));
        Method olora = Method.lora("OLoRA", RANK, lora -> lora.alpha(RANK).loraInit(LoRAInit.OLORA));
        Starts starts = new Starts(lab, task, List.of(usual, pissa, olora, Method.full()), RATE, lab.rates(2.5e-4, 2, 7),
                lab.seeds(SEEDS), task.epochs());
        Finding finding = new Finding().plot("pissa", starts.plot());
        starts.report(finding);
        finding.text("The target is the loss that LoRA reaches in half of its steps; figures are steps to it over those of "
                + "LoRA: 0.5 is twice as fast.");
        finding.check("PiSSA's steps over LoRA's, one rate for all", "below 1", starts.atOneRate(pissa), 0, 1);
        return finding.check("PiSSA's steps over LoRA's, each at its own best rate", "not "
                + "told", starts.atOwnRates(pissa), 0, 1.1);
    }
}
