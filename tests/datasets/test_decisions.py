"""Decisions on tables: each text and its options give these columns and values and say so, or an error that names an option."""

import re

import numpy as np
import pytest

from gpubp.datasets import load

HEADER = "no header: the first line is a sample (--header yes)"
CODES = "codes in 'y', such as 007, are names of classes (--task regression)"
LABELS = "whole numbers as targets are labels of classes (--task regression)"
NUMBERS = "the targets are numbers (--task classification treats their values as classes)"


def last(name):
    return f"the target is {name!r}, the last column (--target)"


def separated(sign):
    return f"the columns are separated by {sign!r}"


def numbered(name):
    return f"{name!r} numbers the rows and is a feature (--ignore {name!r} leaves it out)"


def left_out(columns):
    return f"{columns} (--index none keeps them)"


def read(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, **options)


FILLED = "missing values are filled in with the median of the training data: "
CATEGORIES = "words are categories: {} (--ignore leaves out a column)"
# (text, options, columns, values, targets as classes or numbers, notes)
READ = {
    # numbers
    "decimal comma": ('a,y\n"1,5",u\n"-2,5e1",v\n', {"decimal": ","}, "a", [[1.5], [-25.0]], "u v", []),
    "thousands": (
        'a,y\n"1,234",u\n"12,345,678.5",v\n999,u\n', {"thousands": ","}, "a",
        [[1234.0], [12345678.5], [999.0]], "u v u", []),
    "both": ("a;y\n1.234,5;u\n7;v\n", {"decimal": ",", "thousands": "."}, "a", [[1234.5], [7.0]], "u v", [separated(";")]),
    "spaces": ("a,y\n1 234,u\n1\u00a0234\u202f000.5,v\n", {"thousands": " "}, "a", [[1234.0], [1234000.5]], "u v", []),
    "apostrophes": ("a,y\n1'234,u\n12,v\n", {"thousands": "'"}, "a", [[1234.0], [12.0]], "u v", []),
    "exponents": ("a,b,y\n1e5,+.5,u\n-1.E-3,2.,v\n", {}, "a,b", [[1e5, 0.5], [-1e-3, 2.0]], "u v", []),
    "target with a decimal comma": ('a,y\n7,"1,5"\n9,"2,5"\n', {"decimal": ","}, "a", [[7.0], [9.0]], [1.5, 2.5], []),
    "names such as 1,5": ('a,y\n7,"1,5"\n9,12%\n', {"task": "classification"}, "a", [[7.0], [9.0]], "1,5 12%", []),
    "codes": ("a,y\n7,007\n9,010\n8,007\n", {}, "a", [[7.0], [9.0], [8.0]], "007 010 007",
              [CODES]),
    "long codes": ("a,y\n7,12345678901234567890\n9,12345678901234567891\n", {}, "a", [[7.0], [9.0]],
                   "12345678901234567890 12345678901234567891", [CODES.replace("007", "12345678901234567890")]),
    "truth values": ("a,b,y\nTrue,2,u\nFALSE,3,v\n", {}, "a,b", [[1.0, 2.0], [0.0, 3.0]], "u v",
                     ["True and False are read as 1 and 0 in a"]),
    # missing values
    "rows left out": ("a,b,y\n1,,u\n1,2,u\nna,3,v\n4,5,NA\n4,5,v\n", {"missing": ["NA"]}, "a,b", [[1.0, 2.0], [4.0, 5.0]], "u v",
                      ["3 rows with missing values left out, on lines 2, 4, 5"]),
    "only empty cells": ("a,y\n,u\n1,NA\n4,v\n", {"missing": [""]}, "a", [[1.0], [4.0]], "NA v",
                         ["1 row with missing values left out, on line 2"]),
    "no missing words": ("a,y\n1,None\n5,NA\n3,nan\n", {"missing": ()}, "a", [[1.0], [5.0], [3.0]], "None NA nan",
                         ["no class occurs twice (--target)"]),
    "a mark": ("a,y\n1,0.5\n5,-\n3,2.5\n", {"missing": ["-"]}, "a", [[1.0], [3.0]], [0.5, 2.5],
               ["1 row with missing values left out, on line 3"]),
    "words as one text": ("a,y\n1,u\n-,v\n4,NA\n7,v\n", {"missing": "-,na"}, "a", [[1.0], [7.0]], "u v",
                          ["2 rows with missing values left out, on lines 3, 4"]),
    "no words": ("a,y\n1,None\n5,NA\n", {"missing": ""}, "a", [[1.0], [5.0]], "None NA", []),
    "numbers": ("a,y\n-999,u\n1,v\n4,u\n", {"missing": [-999]}, "a", [[1.0], [4.0]], "v u",
                ["1 row with missing values left out, on line 2"]),
    "numbers in another spelling": ("a,y\n-999.0,u\n1,v\n4,u\n", {"missing": "-999"}, "a", [[1.0], [4.0]], "v u",
                                    ["1 row with missing values left out, on line 2"]),
    "classes + and -": ("a,y\n1,+\n5,-\n", {}, "a", [[1.0], [5.0]], "+ -", []),
    "missing in an ignored column": (
        "a,b,y\n1,,u\n2,NA,v\n", {"ignore": ["b"], "missing": ["NA"]}, "a",
        [[1.0], [2.0]], "u v", []),
    "medians": ("a,b,y\n1,2,u\n,3,v\nna,?,u\n", {"impute": "median"}, "a,b", [[1.0, 2.0], [None, 3.0], [None, None]], "u v u",
                [FILLED + "2 in 'a', 1 in 'b'"]),
    "medians of stated gaps": (
        "a,b,y\n1,2,u\n-999.0,3,v\n4,-,u\n5,6,-\n", {"impute": "median", "missing": "-999,-"}, "a,b",
        [[1.0, 2.0], [None, 3.0], [4.0, None]], "u v u", ["1 row with missing values left out, on line 5",
                                                        FILLED + "1 in 'a', 1 in 'b'"]),
    "medians of empty cells": ("a,y\n1,None\n,NA\n3,nan\n", {"impute": "median", "missing": ""}, "a", [[1.0], [None], [3.0]],
                               "None NA nan", [FILLED + "1 in 'a'", "no class occurs twice (--target)"]),
    "medians of truth values": ("a,y\nTrue,u\n,v\nFalse,v\n", {"impute": "median"}, "a", [[1.0], [None], [0.0]], "u v v",
                                ["True and False are read as 1 and 0 in a", FILLED + "1 in 'a'"]),
    # categories
    "words": ("a,b,y\n7,größer,u\n2,小 ,v\n3,größer,u\n4,小,v\n", {}, "a,b",
              [[7.0, "größer"], [2.0, "小"], [3.0, "größer"], [4.0, "小"]], "u v u v", [CATEGORIES.format("2 in 'b'")]),
    "one word": ("b,a,y\nx,1,u\nx,2,v\n", {}, "b,a", [["x", 1.0], ["x", 2.0]], "u v", [CATEGORIES.format("1 in 'b'")]),
    "names alike": ("a,A,a b,y\nx,X,7,u\nx,x,2,v\nx,X,3,v\nx,x,4,v\n", {}, "a,A,a b",
                    [["x", "X", 7.0], ["x", "x", 2.0], ["x", "X", 3.0], ["x", "x", 4.0]], "u v v v",
                    [CATEGORIES.format("1 in 'a', 2 in 'A'")]),
    "words only": ("b,y\nx,u\nz,v\nx,u\nz,u\n", {}, "b", [["x"], ["z"], ["x"], ["z"]], "u v u u",
                   [CATEGORIES.format("2 in 'b'")]),
    "numbers as categories": ("a,b,y\n1,007,u\n2,12,v\n", {"categories": ["b"]}, "a,b", [[1.0, "007"], [2.0, "12"]], "u v", []),
    "categories by number": ("a,b,y\n1,1e3,u\n2,12%,v\n", {"categories": ["2"]}, "a,b", [[1.0, "1e3"], [2.0, "12%"]], "u v", []),
    "codes as numbers": (
        "a,b,c,y\n1,01067,7,1.5\n2,10115,1234567890123456,2\n", {}, "a,b,c",
        [[1.0, 1067.0, 7.0], [2.0, 10115.0, 1234567890123456.0]], [1.5, 2.0],
        ["codes in 'b', such as 01067, are read as numbers (--categories 'b')",
         "codes in 'c', such as 1234567890123456, are read as numbers (--categories 'c')"]),
    "numbers that are no codes": (
        "a;b;y\n0,05;0;1,5\n-0,07;-00,1;2\n", {"decimal": ","}, "a,b", [[0.05, 0.0], [-0.07, -0.1]], [1.5, 2.0],
        ["the columns are separated by ';'"]),
    "one spelling of accents": ("gro\u0308\u00dfe,y\nu\u0308,u\n\u00fc,v\n", {}, "größe", [["ü"], ["ü"]], "u v",
                                [CATEGORIES.format("1 in 'größe'")]),
    "missing words": ("a,b,y\n1,x,u\n,,v\n3,NA,v\n4,x,v\n", {"impute": "mean"}, "a,b",
                      [[1.0, "x"], [None, None], [3.0, None], [4.0, "x"]], "u v v v",
                      [CATEGORIES.format("1 in 'b'"), FILLED.replace("median", "mean") + "1 in 'a'",
                       "missing values are a category: 2 in 'b'"]),
    "a word None": ("b,y\nx,u\nNone,v\nx,u\nNone,u\n", {"missing": ""}, "b", [["x"], ["None"], ["x"], ["None"]], "u v u u",
                    [CATEGORIES.format("2 in 'b'")]),
    "rows with missing words": ("b,y\nx,u\n-9.0,v\nx,u\nz,v\nz,v\n", {"missing": "-,-9"}, "b", [["x"], ["x"], ["z"], ["z"]],
                                "u u v v", [CATEGORIES.format("2 in 'b'"), "1 row with missing values left out, on line 3"]),
    # several targets
    "separate labels": ("a,u,b,v\n7,1,2,0\n3,1,4,1\n5,0,6,0\n", {"target": "u,v"}, "a,b", [[7.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
                        [1.0, 0.0, 1.0, 1.0, 0.0, 0.0], ["columns of 0 and 1 are separate labels (--task regression)"]),
    "one-hot labels": ("a,red,blue\n7,1,0\n3,0,1\n", {"target": "red,blue"}, "a", [[7.0], [3.0]], "red blue",
                       ["rows with one 1 are labels of classes (--task regression)"]),
    "two quantities": ("a,u,v\n7,1.5,2\n3,2,4\n", {"target": "3, -2"}, "a", [[7.0], [3.0]], [2.0, 1.5, 4.0, 2.0], []),
    "a gap in one of them": ("a,u,v\n7,1.5,2\n3,NA,4\n4,2,4\n", {"target": "u,v", "missing": "NA"}, "a", [[7.0], [4.0]],
                             [1.5, 2.0, 2.0, 4.0], ["1 row with missing values left out, on line 3"]),
    "one target with a comma": ('a,"u,v",u,v\n7,x,1,3\n3,y,4,2\n', {"target": "u,v"}, "a,u,v", [[7.0, 1.0, 3.0], [3.0, 4.0, 2.0]],
                                "x y", []),
    # headers
    "no header": ("5.1,3.5,u\n4.9,3,v\n", {}, "column 1,column 2", [[5.1, 3.5], [4.9, 3.0]], "u v", [HEADER, last("column 3")]),
    "a class in front": ("no,1,7\nyes,3,5\nno,3,3\n", {"target": 1}, "column 2,column 3", [[1.0, 7.0], [3.0, 5.0], [3.0, 3.0]],
                         "no yes no", [HEADER]),
    "numbers and a target": ("0,1,target\n1.5,2,u\n2,4,v\n", {}, "0,1", [[1.5, 2.0], [2.0, 4.0]], "u v",
                             ["the first line is the header: 0, 1, target (--header no)"]),
    "numbers above text": ("0,1,2\n1.5,2,u\n2,4,v\n", {}, "0,1", [[1.5, 2.0], [2.0, 4.0]], "u v",
                           ["the first line is the header: 0, 1, 2 (--header no)", last("2")]),
    "years": ("a,2019,y\n1,2,u\n4,5,v\n", {}, "a,2019", [[1.0, 2.0], [4.0, 5.0]], "u v",
              ["the first line is the header: a, 2019, y (--header no)"]),
    "pandas' names are names": ("0,1,2\n9,4,5.5\n7,8,9.5\n", {"header": "yes"}, "0,1", [[9.0, 4.0], [7.0, 8.0]], [5.5, 9.5],
                                ["the first line is the header: 0, 1, 2 (--header no)", last("2")]),
    "pandas' names are a sample": (
        "0,1,2\n9,4,5.5\n", {"header": "no"}, "column 1,column 2",
        [[0.0, 1.0], [9.0, 4.0]], [2.0, 5.5], [HEADER, last("column 3")]),
    "sodium": ("RI,Na,Mg,Type\n1.5,13,4,1\n1.6,12,3,2\n1.7,11,3,1\n1.5,13,2,2\n", {}, "RI,Na,Mg",
               [[1.5, 13.0, 4.0], [1.6, 12.0, 3.0], [1.7, 11.0, 3.0], [1.5, 13.0, 2.0]], [1, 2],
               ["the first line is the header: RI, Na, Mg, Type (--header no)", last("Type"), LABELS]),
    "marks as names": ("#,HP,%,none,Type\n7,1,1,2,u\n3,5,1,4,v\n", {}, "HP,%,none", [[1.0, 1.0, 2.0], [5.0, 1.0, 4.0]], "u v",
                       ["the first line is the header: #, HP, %, none, Type (--header no)",
                        left_out("1 column left out: '#' differs in every row"), last("Type")]),
    "a commented header": ("# a,b,y\n1,2,u\n3,4,v\n", {}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u v", []),
    "quotes": ('"a","b c","y"\n"1", 2,u\n3,"4",v\n', {}, "a,b c", [[1.0, 2.0], [3.0, 4.0]], "u v", []),
    # columns that number the rows
    "indices": ("Unnamed: 0,Id,a,y\n0,7,1,u\n1,9,5,v\n", {}, "a", [[1.0], [5.0]], "u v",
                [left_out("2 columns left out: 'Unnamed: 0' numbers the rows, 'Id' differs in every row")]),
    "names of rows": ("rownames,a,y\nAda,1,u\nBob,5,v\n", {}, "a", [[1.0], [5.0]], "u v",
                      [left_out("1 column left out: 'rownames' differs in every row")]),
    "an index of a part": (",a,y\n17,1,u\n4,5,v\n", {}, "a", [[1.0], [5.0]], "u v",
                           [left_out("1 column left out: '' differs in every row")]),
    "an index with a gap": ("Id,a,y\n7,1,u\n,5,v\n9,4,u\n", {}, "a", [[1.0], [5.0], [4.0]], "u v u",
                            [left_out("1 column left out: 'Id' differs in every row")]),
    "negative codes": ("a,y\n1,-9007199254740993\n2,-9007199254740992\n", {}, "a", [[1.0], [2.0]],
                       "-9007199254740993 -9007199254740992",
                       ["codes in 'y', such as -9007199254740993, are names of classes (--task regression)"]),
    "a column without a name": ("Unnamed: 0,a,y\n.5,1,u\n.5,5,v\n", {}, "a", [[1.0], [5.0]], "u v",
                                [left_out("1 column left out: 'Unnamed: 0' has no name")]),
    "identifiers": ("PassengerId,user_id,a,y\n5,u7,1,u\n6,u9,5,v\n", {}, "a", [[1.0], [5.0]], "u v",
                    [left_out("2 columns left out: 'PassengerId' numbers the rows, 'user_id' differs in every row")]),
    "indices kept": ("Id,a,y\n7,1,u\n9,5,v\n", {"index": "none"}, "Id,a", [[7.0, 1.0], [9.0, 5.0]], "u v", []),
    "an index by name": ("k,a,y\n7,1,u\n9,5,v\n", {"index": "k"}, "a", [[1.0], [5.0]], "u v", []),
    "one index by name, another one found": (
        "Unnamed: 0,Id,a,y\n0,7,1,u\n1,9,5,v\n", {"index": "Id"}, "a", [[1.0], [5.0]], "u v",
        ["1 column left out: 'Unnamed: 0' numbers the rows (--index none keeps them, --ignore 'Id' leaves out only that one)"]),
    "the number of a column from the end": (",0,1,y\n0,5,7,u\n1,6,3,v\n", {"ignore": ["-2"]}, "0", [[5.0], [6.0]], "u v",
                                            ["the first line is the header: , 0, 1, y (--header no)",
                                             left_out("1 column left out: '' numbers the rows")]),
    "an index by number": ("7,1.5,u\n9,5,v\n", {"index": 1}, "column 2", [[1.5], [5.0]], "u v", [HEADER, last("column 3")]),
    "repeated identifiers": ("Id,a,y\n7,1,u\n7,5,v\n", {}, "Id,a", [[7.0, 1.0], [7.0, 5.0]], "u v",
                             ["'Id' is a feature (--ignore 'Id' leaves it out)"]),
    "an unusual name": ("t,y\n0,u\n1,v\n2,u\n", {}, "t", [[0.0], [1.0], [2.0]], "u v u", [numbered("t")]),
    "words that end as id": ("acid,humid,y\n0,5,u\n3,7,v\n", {}, "acid,humid", [[0.0, 5.0], [3.0, 7.0]], "u v", []),
    "an index as the target": ("a,Id\n1,0\n5,1\n", {"target": "Id"}, "a", [[1.0], [5.0]], [0, 1], [LABELS]),
    # the target, and its kind
    "a usual name": ("label,a\nu,1\nv,5\n", {}, "a", [[1.0], [5.0]], "u v", []),
    "x and y": ("x,y\n1,u\n3,v\n", {}, "x", [[1.0], [3.0]], "u v", []),
    "named among coordinates": ("x,y,kind\n1,2,u\n3,4,v\n", {"target": "kind"}, "x,y", [[1.0, 2.0], [3.0, 4.0]], "u v", []),
    "whole numbers": ("a,y\n1,1\n3,0\n", {}, "a", [[1.0], [3.0]], [0, 1], [LABELS]),
    "dates": ("a,y\n1,2020-01-05\n3,2020-01-06\n7,2020-01-07\n", {}, "a", [[1.0], [3.0], [7.0]],
              "2020-01-05 2020-01-06 2020-01-07", ["no class occurs twice (--target)"]),
    "many whole numbers": ("a,y\n1,1\n3,0\n7,5\n", {}, "a", [[1.0], [3.0], [7.0]], [1.0, 0.0, 5.0], [NUMBERS]),
    # separators and lines
    "Excel's first line": ("sep=;\na;b;y\n1;2;u\n3;4;v\n", {}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u v", [separated(";")]),
    "bars": ("a|b|y\n1|2|u\n3|4|v\n", {}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u v", [separated("|")]),
    "a delimiter": ("a:b:y\n1:2:u\n3:4:v\n", {"delimiter": ":"}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u v", [separated(":")]),
    "decimal commas in all cells": ("1,5;3\n2,25;4\n", {"decimal": ","}, "column 1", [[1.5], [2.25]], [3.0, 4.0],
                                    [separated(";"), HEADER, last("column 2"), LABELS]),
    "runs of spaces": ("a   b y\n 1   2 u \n10 2.5 v\n", {}, "a,b", [[1.0, 2.0], [10.0, 2.5]], "u v", [separated(" ")]),
    "spaces, decimal commas": ("a b y\n1,5 2 u\n10 2,5 v\n", {"decimal": ","}, "a,b", [[1.5, 2.0], [10.0, 2.5]], "u v",
                               [separated(" ")]),
    "a space, given": ('a  b y\n1 2 "u,w"\n3   4 "v,w"\n', {"delimiter": " "}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u,w v,w",
                       [separated(" ")]),
    "no header, decimal commas": ("1,5;u\n2,25;v\n", {"decimal": ",", "delimiter": ";"}, "column 1", [[1.5], [2.25]], "u v",
                                  [separated(";"), HEADER, last("column 2")]),
    "separators in quotes": ('a,b,y\n1,2,"u;w"\n3,4,"v;w"\n', {"delimiter": ","}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u;w v;w", []),
    "blank lines": ("a,y\n1,u\n\n  \n3,v\n\n\n", {}, "a", [[1.0], [3.0]], "u v", ["2 blank lines left out"]),
    "comments": ("# of 2020\n#\na,b,y\n1,2,u\n# more, and more\n3,4,v\n", {}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u v",
                 ["3 comment lines left out"]),
    "a comma at the end": ("a,b,y,\n1,2,u,\n3,4,v,\n", {}, "a,b", [[1.0, 2.0], [3.0, 4.0]], "u v",
                           ["1 empty column at the end left out"]),
    "commas at the end, no header": ("1,2.5,u,,\n3,4,v,,\n", {}, "column 1,column 2", [[1.0, 2.5], [3.0, 4.0]], "u v",
                                     ["2 empty columns at the end left out", HEADER, last("column 3")]),
    "old line ends": ("a,y\r1,u\r3,v\r", {}, "a", [[1.0], [3.0]], "u v", []),
    "UTF-16": ("a,y\n1,größer\n3,小\n".encode("utf-16"), {}, "a", [[1.0], [3.0]], "größer 小", ["the text is in UTF-16"]),
    "other scripts": ("größe,y\n1,größer\n3,小\n", {}, "größe", [[1.0], [3.0]], "größer 小", []),
}


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_tables_that_are_read(tmp_path, case):
    text, options, columns, values, targets, notes = case
    data = read(tmp_path, text, **options)
    assert data.columns == tuple(columns.split(","))
    gaps = [[None if cell != cell else cell for cell in row] for row in data.raw.tolist()]
    assert gaps == values and list(data.notes) == notes
    assert data.scaled().x.shape == (len(values), data.scaled().inputs) and np.isfinite(data.scaled().x).all()
    if isinstance(targets, str):
        assert [data.classes[i] for i in data.y] == targets.split()
    elif data.classes:
        assert list(data.classes) == targets
    else:
        assert data.y.ravel().tolist() == targets


NAMES = "name each column in the first line (R: col.names = NA), or delete a title above the names"
PLAIN = "write plain numbers such as 1234.5, or give the signs in them with --decimal and --thousands"
CLASS = ", or give --task classification if it is the name of a class"
FOREIGN = ["1,5", "1,234", "1.234,5", "1 234", "1'234", "1.2.20.20", "1,5e3", "1\u00a0234", "1,23,456", "$1,234.50", "$12",
           "-$12", "12%", "12€", "USD 12", "12 kg", "1.5 µm", "(12)", "10_19", "0x10", "1d5", "−5", "١٢", "１２"]


@pytest.mark.parametrize("cell", FOREIGN)
def test_numbers_in_another_notation_are_no_names_of_classes(tmp_path, cell):
    for i, (text, more) in enumerate([(f'a;y\n7;u\n"{cell}";v\n', ""), (f'a;y\n7;u\n9;"{cell}"\n', CLASS)]):
        with pytest.raises(ValueError) as caught:
            read(tmp_path, text)
        assert str(caught.value) == f"t.csv, line 3, column {'ay'[i]!r}: expected a number, got {cell!r}: {PLAIN}{more}"
    assert read(tmp_path, f'a;y\n7;u\n9;"{cell}"\n', task="classification").classes == tuple(sorted(["u", cell]))


@pytest.mark.parametrize("cell", ["1.2.2020", "2020-01-05", "5/12/20", "2020-01-05T10:30:00", "10:30", "10:30:05.5"])
def test_dates_are_no_numbers(tmp_path, cell):
    remedy = f"expected a number, got {cell!r}: convert dates and times to numbers, such as days since the first one"
    with pytest.raises(ValueError) as caught:
        read(tmp_path, f"a;y\n7;u\n{cell};v\n")
    assert str(caught.value) == f"t.csv, line 3, column 'a': {remedy}, or --ignore the column"
    if cell[1] == ".":   # others are names of classes
        with pytest.raises(ValueError, match="convert dates"):
            read(tmp_path, f"a;y\n7;1\n9;{cell}\n")


TRAINED = {"regression": "a,y\n5,1.5\n7,2.5\n9,4\n", "numeric classes": "a,y\n5,0\n7,1\n9,0\n8,1\n"}


@pytest.mark.parametrize("training", TRAINED)
@pytest.mark.parametrize("cell", ["cheap", "-", "?", "1,5", "2020-01-05"])
def test_targets_of_new_data_that_are_no_numbers(tmp_path, training, cell):
    """The remedies are those that predict, check and --resume accept: none names --missing, --task or --ignore."""
    like = read(tmp_path, TRAINED[training]).scaled().metadata
    text = f"a;y\n5;1\n7;{cell}\n"
    with pytest.raises(ValueError, match=r"line 3, column 'y': .*: (correct the file|fill it in|write|convert)") as caught:
        read(tmp_path, text, like=like)
    data = read(tmp_path, text, like=like, targets="optional")
    assert data.y is None and len(data) == 2 and "the targets are not used: t.csv, line 3, column 'y'" in data.notes[-1]
    with pytest.raises(ValueError, match="column 'a'") as feature:
        read(tmp_path, f"y;a\n1;5\n1;{cell}\n", like=like)
    assert not re.search("--(missing|task|ignore)", f"{caught.value} {feature.value}")
    np.savez(tmp_path / "x.npz", x=[[5.0], [7.0]], y=["1", cell])
    with pytest.raises(ValueError, match="train row 0: expected a number as the target, as in the training data, got '1'"):
        load(tmp_path / "x.npz", like={**like, "columns": None, "target": None, "options": {}})


@pytest.mark.parametrize("cell", ["1,23,456", "1,2345", "1234,567", ",5", "1.5", "1,,234"])
def test_thousands_are_groups_of_three_digits(tmp_path, cell):
    with pytest.raises(ValueError, match="--decimal and --thousands"):
        read(tmp_path, f'a;y\n7;u\n"{cell}";v\n', decimal=":", thousands=",")


AMBIGUOUS = "expected a first line that is clearly a header or a sample, got {}: give --header yes or --header no"
TARGET = "expected one column with the name of a target, got {}: name the target with --target"
MISSING = "the value is missing, got {0!r}: fill it in, or give --missing {1!r} to leave out such rows"
IMPUTE = ", or --impute median to fill in such values"
WORDS = ": ignore this column, or make it the target, or give --categories 'a' if its values are categories"
NAME = ", or give --missing '' if it is the name of a class"
MARK = "expected a number as on other lines, got {0!r}: give --missing {0!r} if it means a missing value" + CLASS
REFUSED = {
    "pandas' names": ("0,1,2,3\n1,2,3,4\n", {}, ": " + AMBIGUOUS.format("0, 1, 2, 3")),
    "two of pandas' names": ("0,1\n1,2\n", {}, ": " + AMBIGUOUS.format("0, 1")),
    "numbers from 1": ("1,2,3,4\n5,2,3,4\n", {}, ": " + AMBIGUOUS.format("1, 2, 3, 4")),
    "years only": ("2001,2002,2003\n5,2,3\n", {}, ": " + AMBIGUOUS.format("2001, 2002, 2003")),
    "text above a number beside a fraction": ("a,2.5,u\n1,2,v\n", {}, ": " + AMBIGUOUS.format("a, 2.5, u")),
    "a target's name beside fractions": ("5.1,3.5,label\n1,2,u\n", {}, ": " + AMBIGUOUS.format("5.1, 3.5, label")),
    "a mark above numbers": ("-,u\n1,v\n2,u\n", {}, ": " + AMBIGUOUS.format("-, u")),
    "a number above numbers, a word above other words": ("2019,k\n1,u\n2,v\n3,u\n4,v\n", {}, ": " + AMBIGUOUS.format("2019, k")),
    "a missing value above numbers": ("NA,u\n1,v\n2,u\n", {}, ": " + AMBIGUOUS.format("NA, u")),
    "two targets": ("x,y,label\n1,2,u\n", {}, ": " + TARGET.format("y, label")),
    "coordinates": ("x,y,kind\n1,2,u\n", {}, ": " + TARGET.format("x, y, kind")),
    "an empty cell": ("a,y\n1,u\n,v\n", {}, ", line 3, column 'a': " + MISSING.format("", ",") + IMPUTE),
    "an empty target": ("a,y\n1,u\n2,\n", {}, ", line 3, column 'y': " + MISSING.format("", ",")),
    "an empty target for certain": (
        "a,y\n1,u\n2,\n", {"missing": []},
        ", line 3, column 'y': the value is missing, got '': fill it in, or leave the line out"),
    "a class None": ("a,y\n1,u\n2,None\n", {}, ", line 3, column 'y': " + MISSING.format("None", "None") + NAME),
    "only empty cells": ("a,y\n1,u\n,\n2,v\n", {}, ", line 3, column 'a': " + MISSING.format("", ",") + IMPUTE),
    "a mark beside numbers": ("a,y\n1,1\n2,-\n", {}, ", line 3, column 'y': " + MARK.format("-")),
    "a mark among features": (
        "a,y\n1,u\n-,v\n", {},
        ", line 3, column 'a': expected a number, got '-': ignore this column, or make it the target, or give "
        "--missing '-' if it means a missing value"),
    "all rows left out": (
        "a,y\n,u\n", {"missing": [""]},
        ": expected at least one row of data, got only a header and rows with missing values: give a file with more rows"),
    "yes and no": (
        "a,y\nyes,u\nno,v\n", {},
        ", line 2, column 'a': expected a number, got 'yes'" + WORDS + " (2 of its 2 words are different)"),
    "names": ("a,b,y\n" + "".join(f"{i % 7},n{i}x,{'uv'[i % 2]}\n" for i in range(9)), {},
              ", line 2, column 'b': expected a number, got 'n0x'" + WORDS.replace("'a'", "'b'")
              + " (9 of its 9 words are different)"),
    "many words": ("a,b,y\n" + "".join(f"{i % 7},w{i % 101},{'uv'[i % 2]}\n" for i in range(404)), {},
                   ", line 2, column 'b': expected a number, got 'w0'" + WORDS.replace("'a'", "'b'")
                   + " (101 of its 404 words are different)"),
    "a word in each of the few cells": (
        "a,b,y\n" + "".join(f"{i % 7},{f'{i}x' if i < 9 else ''},{'uv'[i % 2]}\n" for i in range(99)), {"impute": "mean"},
        ", line 2, column 'b': expected a number, got '0x'" + WORDS.replace("'a'", "'b'") + " (9 of its 9 words are different)"),
    "words beside numbers": ("a,y\nx,u\nx,v\nz,u\nz,u\n3,v\n", {}, ", line 2, column 'a': expected a number, got 'x'" + WORDS),
    "words above a number": ("a,y\n" + "x,u\n" * 60 + "3,v\n", {}, ", line 2, column 'a': expected a number, got 'x'" + WORDS
                             + " ('3' is not a word)"),
    "a gap among words": ("a,y\nx,u\nx,v\nz,u\nz,u\nNA,v\n", {}, ", line 6, column 'a': " + MISSING.format("NA", "NA") + IMPUTE),
    "a gap among stated gaps": ("a,y\n1,u\n-,v\nNA,u\n", {"missing": "-", "impute": "mean"},
                                ", line 4, column 'a': the value is missing, got 'NA': fill it in, or leave the line out"),
    "infinity among gaps": ("a,y\n1,u\n,v\n1e999,u\n", {"impute": "mean"}, ", line 4, column 'a': expected a number, got "
                            "'1e999': replace infinite values, or leave the line out"),
    "dates": ("a,y\n2020-01-05,u\n2020-01-05,v\n", {}, ", line 2, column 'a': expected a number, got '2020-01-05': convert dates "
              "and times to numbers, such as days since the first one, or --ignore the column"),
    "a missing target": ("a,y\n1,u\n2,NA\n", {"impute": "median"}, ", line 3, column 'y': " + MISSING.format("NA", "NA") + NAME),
    "two spellings of a category": ("a,b,y\n1,7,u\n2,07,v\n", {"categories": ["b"]},
                                    ", column 'b': expected one spelling of each category, got 07 and 7: correct the file"),
    "categories that are no features": ("a,b,y\n1,7,u\n2,8,v\n", {"categories": ["y"]},
                                        ": expected features as --categories, got 'y': leave them out"),
    "categories that are no columns": ("a,b,y\n1,7,u\n2,8,v\n", {"categories": ["c"]},
                                       " has no column 'c': its columns are a, b, y"),
    "another way to impute": ("a,y\n1,u\n", {"impute": "mode"}, "--impute: expected median or mean, got 'mode'"),
    "two spellings of a class": (
        "a,y\n1,1.1\n2,1.10\n", {"task": "classification"},
        ", column 'y': expected one spelling of each class, got 1.1 and 1.10: correct the file, or give --task regression"),
    "one of several targets": ("a,b,u,v\n1,2,0,1\n3,5,1,1\n", {"target": "u,w"},
                               " has no column 'w': its columns are a, b, u, v"),
    "a target that is a word": ("a,u,v\n1,0,x\n3,1,z\n", {"target": "u,v"}, ", line 2, column 'v': expected a number, got 'x': "
                                "write separate labels as 0 and 1"),
    "several targets for a class": ("a,u,v\n1,0,1\n3,1,1\n", {"target": "u,v", "task": "classification"},
                                    ": expected one label for each sample, got targets of shape (2, 2)"),
    "an ignored target": ("a,y\n1,u\n2,v\n", {"target": "y", "ignore": ["y"]},
                          ": expected a target that is not ignored, got 'y' for both: leave one out"),
    "nothing left": ("a,y\n1,u\n2,v\n", {"ignore": ["a"]},
                     ": expected a column of features beside the target, got 'a', 'y': --ignore fewer columns"),
    "a dash as a mark": ("a,y\n--,u\n2,v\n", {}, ", line 2, column 'a': expected a number, got '--': ignore this column, or "
                         "make it the target, or give --missing ',--' if it means a missing value"),
    "an overflow": (
        "a,y\n1e400,u\n3,v\n", {},
        ", line 2, column 'a': expected a number, got '1e400': replace infinite values, or leave the line out"),
    "only an index": (
        ",y\n1,u\n3,v\n", {},
        ": expected a column of features beside the target, got '', 'y': --index none keeps all columns"),
    "two separators": (
        "1,5;2,5;u\n2,5;1,5;v\n", {},
        ": expected one sign between the columns, got ';' and ',' evenly in all lines: name it with --delimiter"),
    "a stray quote": (
        'a,y\n1,u\n2,"v\n3,u\n4,"v\n', {},
        ", line 3: expected cells separated by ',', got a damaged row (',' expected after '\"'): look for a stray "
        "quote"),
    "a stray quote among tabs": (
        'a\ty\n1\tu\n2\t"v\n3\tu\n4\t"v\n', {},
        ", line 3: expected cells separated by '\\t', got a damaged row ('\\t' expected after '\"'): look for a stray quote"),
    "two stray quotes": (
        'a,y\n1,u\n2,"v\n3,u\n4,v"\n5,u\n', {},
        ", line 3: expected each row on one line, got a quoted cell that runs to line 5: remove the stray quote, "
        "or the line break"),
    "an open quote": (
        'a,y\n1,u\n2,"v\n3,u\n', {},
        ", line 3: expected cells separated by ',', got a damaged row (unexpected end of data): look for a stray "
        "quote"),
    "a long cell": (
        f"a,y\n{'9' * 200_000},u\n", {},
        ", line 2: expected cells separated by ',', got a damaged row (field larger than field limit (131072)): "
        "look for a stray quote"),
    "a title": ("My table\na,b,y\n1,2,u\n", {}, f", line 2: expected 1 cells as in the first line, got 3: {NAMES}"),
    "R's names of rows": ('"a" "b" "y"\n"1" 5 2 "u"\n"2" 7 1 "v"\n', {},
                          f", line 2: expected 3 cells as in the first line, got 4: {NAMES}"),
    "a comma more in the rows": ("a,y\n1,u,\n2,v,\n", {}, f", line 2: expected 2 cells as in the first line, got 3: {NAMES}"),
    "a comment that may be a row": (
        "a,b,y\n# 1,2,u\n3,4,v\n", {},
        ", line 2, column 'a': expected a number, got '# 1'" + WORDS),
    "comments only": ("# a\n# b\n", {}, " is empty: expected rows of comma-separated values"),
    "decimal": ("a,y\n1,u\n", {"decimal": "x"}, "--decimal: expected one sign such as '.' or ',', got 'x'"),
    "thousands": ("a,y\n1,u\n", {"thousands": ",,"}, "--thousands: expected one sign such as ' ' or ',', got ',,'"),
    "decimal and thousands": ("a,y\n1,u\n", {"thousands": "."}, "--thousands: expected another sign than the decimal '.': give "
                              "--decimal, too"),
    "header": ("a,y\n1,u\n", {"header": "maybe"}, "--header: expected yes, no or auto, got 'maybe'"),
    "delimiter": ("a,y\n1,u\n", {"delimiter": ";;"}, "--delimiter: expected one sign such as ',' or ';', got ';;'"),
    "a line break": ("a y\n1 u\n", {"delimiter": "\n"}, "--delimiter: expected one sign such as ',' or ';', got '\\n'"),
    "a number as the delimiter": ("a,y\n1,u\n", {"delimiter": 5}, "--delimiter: expected one sign such as ',' or ';', got 5"),
    "index": ("abc,y\n1,u\n", {"index": "abd"}, " has no column 'abd': did you mean 'abc'?")}


@pytest.mark.parametrize("numbers", ["950 1.250 12.400", "1.000 2.000 950", "689.580 710197", "-1.250 -3", "0 1.500"])
@pytest.mark.parametrize("place", [0, 1])
def test_points_that_may_separate_thousands(tmp_path, numbers, place):
    text = "a;y\n" + "".join(f"{n};7.{i}\n" if place == 0 else f"7.{i};{n}\n" for i, n in enumerate(numbers.split()))
    with pytest.raises(ValueError, match=r"beside numbers without a point: give --thousands \. --decimal , if points "
                                         r"separate thousands, else --decimal \.$"):
        read(tmp_path, text)
    for options, values in (({"decimal": "."}, [*map(float, numbers.split())]),
                            ({"decimal": ",", "thousands": "."}, [float(n.replace(".", "")) for n in numbers.split()])):
        data = read(tmp_path, text if place and "," not in options.values() else text.replace("7.", "7"),
                    task="auto" if place == 0 else "regression", **options)
        assert (data.raw if place == 0 else data.y).ravel().tolist() == values


@pytest.mark.parametrize("numbers", ["0.125 1.250 2.5", "1.250 12.400 3.125", "0.125 950", "1.2505 950", "1.250 2.5 950",
                                     "1.250 2.500 NA 7.125", "1.250 2.500 -999 7.125"])
def test_three_decimals_are_no_thousands(tmp_path, numbers):
    text = "a,y\n" + "".join(f"{n},{'uv'[i % 2]}\n" for i, n in enumerate(numbers.split()))
    kept = [float(n) for n in numbers.split() if n not in ("NA", "-999")]
    assert read(tmp_path, text, missing="NA,-999").raw.ravel().tolist() == kept


@pytest.mark.parametrize("word", ["\\N", "NaT", "(null)", "<null>", "#NA", "#N/A", "#DIV/0!", "#VALUE!", "<NA>", "n.a.",
                                  "1.#QNAN", "None"])
def test_marks_of_missing_values_are_no_classes(tmp_path, word):
    for text in (f"a,y\n1,u\n3,v\n7,{word}\n", f"a,y\n1,u\n3,v\n{word},v\n"):
        with pytest.raises(ValueError) as caught:
            read(tmp_path, text)
        assert f"the value is missing, got {word!r}: fill it in, or give --missing '{word}' to leave" in str(caught.value)
        assert len(read(tmp_path, text, missing=word)) == 2


def test_wide_tables_of_words(tmp_path):
    """A name that is searched in a list takes seconds here."""
    width = 8000
    header = ",".join([*map("c{}".format, range(width)), "y"])
    text = f"{header}\n" + "".join(f"{','.join([word * 2] * width)},{word}\n" for word in "uuvv")
    data = read(tmp_path, text, target="y")
    assert data.scaled().x.shape == (4, 2 * width) and data.notes[0].count(" in 'c") == 8


@pytest.mark.parametrize("name", ["c{}", "c{}_id"])
def test_wide_tables(tmp_path, name):
    """A name that is searched in a list takes seconds here."""
    width = 8000
    header = ",".join([*map(name.format, range(width)), "y"])
    text = f"{header}\n" + "".join(f"{','.join(['1.5'] * width)},{word}\n" for word in "uv")
    data = read(tmp_path, text)
    assert data.x.shape == (2, width) and data.metadata["classes"] == ["u", "v"]
    np.testing.assert_array_equal(read(tmp_path, text, like=data.metadata).raw, data.raw)


def test_blank_lines_of_one_column_are_missing_values(tmp_path):
    like = read(tmp_path, "a,y\n5,u\n7,v\n").scaled().metadata
    data = read(tmp_path, "\na\n1.5\n2\n\n\n", like=like)
    assert data.raw.tolist() == [[1.5], [2.0]] and data.notes == ()
    for text in ("a\n1.5\n\n2\n", "a\n\n2\n", "a\n1.5\n  \n2\n", 'a\n1.5\n""\n2\n'):
        with pytest.raises(ValueError, match="column 'a': the value is missing"):
            read(tmp_path, text, like=like)


@pytest.mark.parametrize("column", ["True 3 5", "1 false 0.5"])
def test_truth_values_beside_other_numbers(tmp_path, column):
    text = "a,y\n" + "".join(f"{cell},{'uv'[i % 2]}\n" for i, cell in enumerate(column.split()))
    with pytest.raises(ValueError, match=r"'a': expected True or False as on other lines, got (3|0\.5): correct the file"):
        read(tmp_path, text)


@pytest.mark.parametrize("first", ["400.0;400.5;401.0;kind", "-1;0;1;kind", "1.5;2;5;kind", "1;1;1;kind", "True;False;True;kind",
                                   "0;1;2;2030", "1.5;2;5;2030", "0;0;0;True", "NA;1;2;kind"])
def test_a_header_above_classes_that_repeat_is_no_sample(tmp_path, first):
    rows = "".join(f"{i * 0.5};{i % 3};{i};{'ab'[i % 2]}\n" for i in range(40))
    with pytest.raises(ValueError, match="--header yes or --header no"):
        read(tmp_path, f"{first}\n{rows}")
    if len({*first.split(";")}) == 4:
        assert read(tmp_path, f"{first}\n{rows}", header="yes").classes == ("a", "b")
    assert read(tmp_path, rows).classes == ("a", "b")   # also without any


@pytest.mark.parametrize("option, value, ways", [
    ("index", "1", "1, the name of a column and the number of '': give 3 for the name or -5 for the number"),
    ("ignore", ["1"], "1, the name of a column and the number of '': give 3 for the name or -5 for the number"),
    ("target", 2, "2, the name of a column and the number of '0': give 4 for the name or -4 for the number")])
def test_a_name_that_is_the_number_of_another_column_is_ambiguous(tmp_path, option, value, ways):
    text = ",0,1,2,label\n" + "".join(f"{i},{i % 3},{i % 5}.5,7.{i},{'ab'[i % 2]}\n" for i in range(9))
    with pytest.raises(ValueError) as caught:
        read(tmp_path, text, **{option: value})
    assert str(caught.value) == f"t.csv: expected one column, got {ways}"


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_tables_that_are_refused(tmp_path, case):
    text, options, sentence = case
    with pytest.raises(ValueError) as caught:
        read(tmp_path, text, **options)
    assert str(caught.value) == (sentence if sentence.startswith("--") else f"t.csv{sentence}")


def test_text_of_unknown_encoding(tmp_path):
    nul = "has an unknown format: expected a table (.csv), arrays (.npz) or images (idx), got a NUL byte at 7"
    latin = "is not text in UTF-8 (invalid start byte at byte 6): save it as UTF-8"
    for content, sentence in ((b"a,y\n1,u\0\n", nul), ("a,y\n1,ü\n".encode("latin-1"), latin)):
        with pytest.raises(ValueError) as caught:
            read(tmp_path, content)
        assert str(caught.value) == f"{tmp_path / 't.csv'} {sentence}"


def test_the_options_of_the_training_hold_for_new_data(tmp_path):
    data = read(tmp_path, 'a;k;y\n1,5;7;None\n"2.000,5";8;u\n;1;u\n', decimal=",", thousands=".", missing=["-"], ignore=["k"])
    assert len(data) == 2 and data.options == {"decimal": ",", "thousands": ".", "missing": ["-"]} and data.separator == ";"
    np.testing.assert_array_equal(load(tmp_path / "t.csv", ignore=["k"], **data.options).x, data.x)
    like = data.scaled().metadata
    new = read(tmp_path, "y;a;more\nNone;1.000,5;0\nu;-;0\nu;3;9\n", like=like)
    assert new.raw.tolist() == [[1000.5], [3.0]] and [new.classes[i] for i in new.y] == ["None", "u"]
    assert new.notes == (separated(";"), "1 column left out: 'more' (not used in training)",
                         "1 row with missing values left out, on line 3")
    assert read(tmp_path, "a\n1.5\n", like=like, decimal=".", thousands="").raw.tolist() == [[1.5]]
    with pytest.raises(ValueError, match=r"line 2, column 'a': the value is missing, got '': fill it in, or leave the line out$"):
        read(tmp_path, "a;y\n;u\n", like=like, targets="optional")


def test_the_separator_of_the_training_is_preferred(tmp_path):
    like = read(tmp_path, 'a;b;y\n1,5;2;u\n2,5;3;v\n', decimal=",").scaled().metadata
    assert like["options"] == {"decimal": ",", "separator": ";"}
    assert read(tmp_path, "1,5;2,5\n3,5;4,5\n", like=like).raw.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert read(tmp_path, "a,b\n1,2\n", like=like, decimal=".").raw.tolist() == [[1.0, 2.0]]   # another one
    bars = read(tmp_path, "a|y\n1|u;w\n2|v;w\n3|u;w\n", delimiter="|").scaled().metadata
    assert read(tmp_path, "y|a\nu;w|1\n", like=bars).raw.tolist() == [[1.0]]
    one = read(tmp_path, "a;y\n1,5;u\n2,5;v\n", decimal=",").scaled().metadata
    assert read(tmp_path, "1,5\n2,5\n", like=one).raw.tolist() == [[1.5], [2.5]]


def test_a_sample_as_the_first_line_of_new_data(tmp_path):
    """Consecutive numbers are no header if the network knows the columns by other names."""
    like = read(tmp_path, "a,b,y\n5,1,u\n7,2,v\n").scaled().metadata
    new = read(tmp_path, "0,1\n1,2\n", like=like)
    assert new.raw.tolist() == [[0, 1], [1, 2]]
    assert new.notes == ("no header: the first line is a sample, with the columns in the training's order",)


def test_classes_that_look_like_numbers_stay_text(tmp_path):
    like = read(tmp_path, "a,y\n5,1\n7,b\n8,c\n").scaled().metadata
    assert read(tmp_path, "a,y\n5,1\n7,1\n", like=like).y.tolist() == [0, 0]


@pytest.mark.parametrize("like", [False, True])
def test_without_targets(tmp_path, like):
    text = "a,y\n5,u\n7,\n"
    with pytest.raises(ValueError, match="missing"):
        read(tmp_path, text)
    data = read(tmp_path, text, targets=False, like=read(tmp_path, "a,y\n5,u\n7,v\n").scaled().metadata if like else None)
    assert data.raw.tolist() == [[5], [7]] and data.y is None and data.columns == ("a",)
    np.savez(tmp_path / "x.npz", x=data.raw)
    assert load(tmp_path / "x.npz", targets=False).y is None


@pytest.mark.parametrize("header", ["f_0,y", "fü,y"])
def test_numbers_are_read_alike_below_any_header(tmp_path, header):
    data = read(tmp_path, f"{header}\n1.5,u\n1e3,v\n")
    assert data.raw.tolist() == [[1.5], [1000.0]]
    for cell in ("1_0", "١"):   # as Python's float would take them
        with pytest.raises(ValueError, match=r"line 2, column 'f.*': expected a number, got"):
            read(tmp_path, f"{header}\n{cell},u\n1,v\n")
