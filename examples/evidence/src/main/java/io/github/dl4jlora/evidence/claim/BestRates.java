package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Rates;
import io.github.dl4jlora.evidence.Task;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Each method has a best rate of its own, and there LoRA comes close to full fine-tuning. */
public record BestRates(List<Setting> settings) implements Claim {

    /** For tasks that train in a second. */
    static final int SEEDS = 5;
    static final int FEW_SEEDS = 3;

    private static final Interval ALIKE = new Interval(0.25, 4);

    /**
     * What is tried on a task.
     *
     * @param ranks  of LoRA, ascending
     * @param lowest the lowest rate
     * @param factor between two rates
     * @param rates  number of rates
     * @param seeds  number of seeds
     * @param low    lower end of the picture's axis
     * @param high   upper end of the picture's axis
     * @param close  how far behind full fine-tuning LoRA's best may be for the claim to hold, in the task's unit
     * @param behind how far behind it may be here
     * @param ratio  of LoRA's best rate to full fine-tuning's, here
     */
    public record Setting(Task task, int[] ranks, double lowest, double factor, int rates, int seeds, double low, double high,
                          double close, double behind, Interval ratio) {

        private List<Method> loras() {
            return IntStream.of(ranks).mapToObj(Method::lora).toList();
        }
    }

    /** {@return what is tried on digits} */
    public static Setting digits(Task task) {
        return new Setting(task, new int[] {1, 2, 8, 32, 64}, 2.5e-4, 2, 8, SEEDS, 80, 100, 2, 2, ALIKE);
    }

    /** {@return what is tried on Fashion-MNIST} */
    public static Setting fashion(Task task) {
        return new Setting(task, new int[] {1, 8, 64}, 2.5e-4, 2, 8, FEW_SEEDS, 60, 90, 2, 4, ALIKE);
    }

    /** {@return what is tried on Shakespeare} */
    public static Setting shakespeare(Task task) {
        return new Setting(task, new int[] {4, 32}, 2.5e-3, 2, 5, FEW_SEEDS, 2.5, 3.5, .1, .15, ALIKE);
    }

    @Override
    public Statement statement() {
        return new Statement("rates",
                "LoRA comes close to full fine-tuning when each has its own best learning rate, and that rate hardly depends on "
                        + "rank",
                new Source("Schulman et al. 2025, [LoRA Without Regret](https://thinkingmachines.ai/blog/lora/); Biderman et al. "
                        + "2024, \"LoRA Learns Less and Forgets Less\"", "2405.09673"),
                "Llama 3 and Qwen 3: at its best rate LoRA learns as much as full fine-tuning, on data that its rank can hold; "
                        + "the best rate is about the same for all ranks, since alpha is divided by the rank, and about ten "
                        + "times that of full fine-tuning.");
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        List<List<String>> rows = new ArrayList<>();
        for (Setting setting : settings) {
            examine(lab, setting, finding, rows);
        }
        return finding.table(Rates.header(), rows).text("LoRA's best rate is well above full fine-tuning's only on pretrained "
                + "weights, which may change only a little: it is for MiniLM, and is not for small networks that were trained "
                + "for seconds.");
    }

    private static void examine(Lab lab, Setting setting, Finding finding, List<List<String>> rows) {
        List<Method> loras = setting.loras();
        List<Method> all = new ArrayList<>(loras);
        all.add(Method.full());
        String name = setting.task.name();
        Rates rates = new Rates(lab, setting.task, all, lab.rates(setting.lowest, setting.factor, setting.rates),
                lab.seeds(setting.seeds));
        finding.plot("rates-" + Finding.file(name), rates.plot("Learning rates, " + name, setting.low, setting.high));
        rows.addAll(rates.rows(setting.task.isLoss() ? 3 : 1));
        rates.tellEdges(finding);
        double full = rates.bestLearned(Method.full()).mean();
        double behind = loras.stream().mapToDouble(method -> (setting.task.isLoss() ? -1 : 1)
                * (full - rates.bestLearned(method).mean())).min().orElseThrow();
        double[] best = loras.stream().mapToDouble(rates::bestRate).sorted().toArray();
        finding.check(name + ": full fine-tuning less the best LoRA, each at its own rate, " + setting.task.measure(), "about 0",
                behind, Interval.atMost(setting.close), Interval.atMost(setting.behind));
        finding.check(name + ": best rates of all ranks, highest over lowest", "about 1", best[best.length - 1] / best[0], 1, 4);
        finding.check(name + ": LoRA's best rate over full fine-tuning's, median of the ranks", "10",
                Arrays.stream(best).skip(best.length / 2).findFirst().orElseThrow() / rates.bestRate(Method.full()),
                new Interval(5, 20), setting.ratio);
    }
}
