package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Task;

import java.util.List;

/** Starts that are taken from data reach a given loss in fewer steps than a random one. */
public record DataStarts(List<Setting> settings) implements Claim {

    private static final int RANK = 8;
    private static final Interval FEWER = Interval.atMost(1);
    /** A processor that rounds differently changes a ratio by about a tenth. */
    private static final Interval ABOUT = Interval.atMost(1.2);

    /**
     * One task.
     *
     * @param rate   one rate for all starts
     * @param lowest of the rates from which each start gets its own, {@code factor} apart
     * @param budget the sum of all ranks, where EVA distributes them
     */
    public record Setting(Task task, double rate, double lowest, double factor, int rates, int seeds, int epochs, int budget) {
    }

    /** {@return the setting of digits, whose three layers have 24 ranks to share} */
    public static Setting digits(Task task) {
        return new Setting(task, 1e-3, 2.5e-4, 2, 6, 5, 6, 24);
    }

    @Override
    public Statement statement() {
        return new Statement("starts",
                "Starts taken from data, EVA's and LoRA-GA's, reach a given loss in fewer steps than a random one",
                new Source("Paischer et al. 2024, \"One Initialization to Rule them All: Fine-tuning via Explained Variance "
                        + "Adaptation\", [arXiv:2410.07170](https://arxiv.org/abs/2410.07170); Wang et al. 2024, \"LoRA-GA: "
                        + "Low-Rank Adaptation with Gradient Approximation\"", "2407.05000"),
                "EVA: the loss falls faster than with any other start, on language, vision and reinforcement learning. LoRA-GA: "
                        + "two to four times as fast as LoRA, on T5 and Llama 2, at the pace of full fine-tuning.");
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        for (Setting setting : settings) {
            examine(lab, setting, finding);
        }
        return finding.text("The target is the loss that the random start reaches in half of its steps; figures are steps to it "
                + "over those of the random start.");
    }

    private static void examine(Lab lab, Setting setting, Finding finding) {
        String name = setting.task.name();
        Method random = Method.lora("random start", RANK, lora -> lora);
        Method eva = Method.fromData("EVA", RANK, lora -> lora.loraInit(LoRAInit.EVA));
        Method shared = Method.fromData("EVA, ranks shared out", RANK, lora ->
                lora.loraInit(LoRAInit.EVA).rankBudget(setting.budget));
        Method gradient = Method.fromData("LoRA-GA", RANK, lora -> lora.loraInit(LoRAInit.LORA_GA));
        Starts starts = new Starts(lab, setting.task, List.of(random, eva, shared, gradient, Method.full()), setting.rate,
                lab.rates(setting.lowest, setting.factor, setting.rates), lab.seeds(setting.seeds), setting.epochs);
        finding.plot("starts-" + Finding.file(name), starts.plot());
        starts.report(finding);
        for (Method method : List.of(eva, shared, gradient)) {
            finding.check(name + ": steps of " + method.name() + " over those of the random start, one rate for all", "below 1",
                    starts.atOneRate(method), FEWER, ABOUT);
            finding.check(name + ": the same, each at its own rate", "below 1", starts.atOwnRates(method), FEWER, ABOUT);
        }
    }
}
