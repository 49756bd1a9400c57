package io.github.dl4jlora.examples.evidence.claim;

import io.github.dl4jlora.examples.evidence.Claim;
import io.github.dl4jlora.examples.evidence.Finding;
import io.github.dl4jlora.examples.evidence.Lab;
import io.github.dl4jlora.examples.evidence.Method;
import io.github.dl4jlora.examples.evidence.Rates;
import io.github.dl4jlora.examples.evidence.Task;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Each method has a best rate of its own, and there LoRA comes close to full fine-tuning. */
public final class BestRates implements Claim {

    /** Of the seeds that claims share. */
    public static final int SEEDS = 5;
    private static final int FEW_SEEDS = 3;

    private final List<Setting> settings;

    /**
     * What is tried on a task.
     *
     * @param ranks   of LoRA, ascending
     * @param seeds   how many
     * @param low     of the picture's axis
     * @param high    likewise
     * @param behind  how far LoRA may be behind, in the task's unit
     */
    private record Setting(Task task, int[] ranks, double lowest, int rates, int seeds, double low, double high, double behind) {

        double[] rates(Lab lab) {
            return lab.rates(lowest, FACTOR, rates);
        }

        List<Method> methods() {
            return Stream.concat(IntStream.of(ranks).mapToObj(Method::lora), Stream.of(Method.full())).toList();
        }
    }

    static final double FACTOR = 2;

    public BestRates(Task digits, Task fashion, Task shakespeare) {
        settings = Stream.of(digits == null ? null : new Setting(digits, new int[] {1, 2, 4, 8, 16, 32, 64, 128}, 1.25e-4, 10,
                        SEEDS, 80, 100, 2),
                fashion == null ? null : new Setting(fashion, new int[] {1, 4, 16, 64}, 1.25e-4, 9, FEW_SEEDS, 60, 90, 2),
                shakespeare == null ? null : new Setting(shakespeare, new int[] {2, 8, 32}, 6.25e-4, 8, FEW_SEEDS, 2, 4, .15))
                .filter(setting -> setting != null).toList();
    }

    @Override
    public String id() {
        return "rates";
    }

    @Override
    public String says() {
        return "LoRA comes close to full fine-tuning when each has its own best learning rate, and that rate hardly depends on rank";
    }

    @Override
    public Source source() {
        return new Source("Biderman et al. 2024, \"LoRA Learns Less and Forgets Less\", and Schulman et al. 2025, \"LoRA Without "
                + "Regret\"", "2405.09673");
    }

    @Override
    public String published() {
        return "";
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        List<List<String>> rows = new ArrayList<>();
        for (Setting setting : settings) {
            Rates rates = new Rates(lab, setting.task, setting.methods(), setting.rates(lab), lab.seeds(setting.seeds));
            finding.plot("rates-" + setting.task.name().toLowerCase(java.util.Locale.ROOT), rates.plot("Learning rates, "
                    + setting.task.name(), setting.low, setting.high));
            rows.addAll(rates.rows(setting.task.isLoss() ? 3 : 1));
            double[] best = setting.methods().stream().mapToDouble(rates::bestRate).limit(setting.ranks.length).toArray();
            finding.check("best rates, highest over lowest", "", Arrays.stream(best).max().getAsDouble()
                    / Arrays.stream(best).min().getAsDouble(), 0, 4);
        }
        return finding.table(Rates.header(), rows);
    }
}
