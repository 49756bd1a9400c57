package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Rates;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;

import java.util.ArrayList;
import java.util.List;

/** Variants hardly differ once each has its own rate; at ranks of one or two DoRA is ahead. */
public record VariantsTuned(List<Setting> settings) implements Claim {

    private static final int RANK = 8;
    private static final int PISSA_ITERATIONS = 4;
    private static final double RATIO = 4;
    private static final double CLOSE = 2;
    /** Points by which a difference of two means of few seeds may miss what is claimed. */
    private static final double SLACK = 2;

    /**
     * One task.
     *
     * @param lowRank at which DoRA and LoRA are also compared; 0 if not on this task
     * @param apart   the largest difference here between the best and the worst, in points
     */
    public record Setting(Task task, double lowest, double factor, int rates, int seeds, int lowRank, double low, double high,
                          double apart) {
    }

    /** {@return the setting of digits} */
    public static Setting digits(Task task) {
        return new Setting(task, 5e-4, 2, 7, BestRates.FEW_SEEDS, 1, 80, 100, 6);
    }

    /** {@return the setting of Fashion-MNIST} */
    public static Setting fashion(Task task) {
        return new Setting(task, 5e-4, 2, 6, BestRates.FEW_SEEDS, 1, 60, 90, 6);
    }

    @Override
    public Statement statement() {
        return new Statement("variants",
                "Variants of LoRA lie within one to two points of each other once each has its own learning rate; at low rank "
                        + "DoRA is ahead",
                new Source("Liu et al. 2024, \"DoRA: Weight-Decomposed Low-Rank Adaptation\", "
                        + "[arXiv:2402.09353](https://arxiv.org/abs/2402.09353); \"Learning Rate Matters: Vanilla LoRA May "
                        + "Suffice for LLM Fine-tuning\"", "2602.04998"),
                "The former: LLaMA 7B on commonsense reasoning, rank 4: DoRA 61.89 %, LoRA 39.49 %, at the same rate. The "
                        + "latter: with a rate of its own each variant comes to within 1 to 2 points of plain LoRA.");
    }

    /** {@return what differs about each variant} */
    static List<Method> variants() {
        return List.of(Method.lora(RANK),
                Method.lora("rsLoRA", RANK, lora -> lora.scaling(Scaling.ALPHA_OVER_SQRT_RANK)),
                Method.lora("LoRA+, ratio 4", RANK, lora -> lora.loraPlusRatio(RATIO)),
                Method.lora("LoRA-FA", RANK, lora -> lora.variant(new FrozenALoRA())),
                Method.lora("DoRA", RANK, lora -> lora.variant(new DoRA())),
                Method.lora("PiSSA", RANK, lora -> lora.loraInit(LoRAInit.PISSA).pissaIterations(PISSA_ITERATIONS)),
                Method.lora("OLoRA", RANK, lora -> lora.loraInit(LoRAInit.OLORA)),
                Method.lora("orthogonal start", RANK, lora -> lora.loraInit(LoRAInit.ORTHOGONAL)));
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        List<List<String>> rows = new ArrayList<>();
        for (Setting setting : settings) {
            String name = setting.task.name();
            double[] grid = lab.rates(setting.lowest, setting.factor, setting.rates);
            long[] seeds = lab.seeds(setting.seeds);
            Rates rates = new Rates(lab, setting.task, variants(), grid, seeds);
            finding.plot("variants-" + Finding.file(name), rates.plot("Variants at rank 8, " + name, setting.low, setting.high));
            rows.addAll(rates.rows(1));
            rates.tellEdges(finding);
            Method plain = variants().get(0);
            double plainBest = rates.bestLearned(plain).mean();
            double most = variants().stream().mapToDouble(method -> rates.bestLearned(method).mean()).max().orElseThrow();
            double least = variants().stream().mapToDouble(method -> rates.bestLearned(method).mean()).min().orElseThrow();
            finding.check(name + ": best variant, less plain LoRA, points", "1 to 2", most - plainBest, Interval.atMost(CLOSE),
                    Interval.atMost(CLOSE + SLACK));
            finding.check(name + ": best variant, less the worst, points", "about 2", most - least, Interval.atMost(2 * CLOSE),
                    Interval.atMost(setting.apart));
            if (setting.lowRank > 0) {
                lowRank(lab, setting, grid, seeds, finding, rows);
            }
        }
        return finding.table(Rates.header(), rows).text("LoRA-FA trains B alone, so half as many values: where it is the "
                + "worst, that is why.");
    }

    private static void lowRank(Lab lab, Setting setting, double[] grid, long[] seeds, Finding finding, List<List<String>> rows) {
        Method plain = Method.lora(setting.lowRank);
        Method dora = Method.lora("DoRA, rank " + setting.lowRank, setting.lowRank, lora -> lora.variant(new DoRA()));
        Rates rates = new Rates(lab, setting.task, List.of(plain, dora), grid, seeds);
        rows.addAll(rates.rows(1));
        finding.check(setting.task.name() + ": DoRA less LoRA, rank " + setting.lowRank + ", each at its own rate, points",
                "above 0", rates.bestLearned(dora).mean() - rates.bestLearned(plain).mean(), Interval.atLeast(0),
                Interval.atLeast(-SLACK));
    }
}
